//! A Coinfuse relay as a program.

fn main() -> std::process::ExitCode {
    relay::main()
}
