//! A Coinfuse client as a program.

fn main() -> std::process::ExitCode {
    client::main()
}
