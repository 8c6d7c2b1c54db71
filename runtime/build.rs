//! Compiles the runtime to Wasm next to the native build and hands its path to `lib.rs`.

fn main() {
    #[cfg(feature = "std")]
    {
        build(None);
        // A second blob with higher versions, for the test of a runtime upgrade (`scripts/test --slow`).
        println!("cargo::rerun-if-env-changed=LLMESH_NEXT_RUNTIME");
        if std::env::var_os("LLMESH_NEXT_RUNTIME").is_some_and(|v| v == "1") {
            build(Some("next_version"));
        }
    }
}

#[cfg(feature = "std")]
fn build(next: Option<&str>) {
    let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
    #[cfg(feature = "metadata-hash")]
    let builder = builder.enable_metadata_hash("MESH", 12);
    match next {
        Some(name) => builder.enable_feature("next-version").set_file_name(name).build(),
        None => builder.build(),
    }
}
