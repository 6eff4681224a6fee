//! The relay for the tests.

fn main() -> std::process::ExitCode {
    relay::main()
}
