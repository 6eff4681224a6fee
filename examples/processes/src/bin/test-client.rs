//! The client for the tests.

fn main() -> std::process::ExitCode {
    client::main()
}
