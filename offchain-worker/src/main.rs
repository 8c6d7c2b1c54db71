//! The command line of the compute worker; everything is in the library.

fn main() -> std::process::ExitCode {
    llmesh_worker::cli::main()
}
