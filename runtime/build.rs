//! Compiles the runtime to Wasm next to the native build and hands its path to `lib.rs`.

fn main() {
    #[cfg(feature = "std")]
    {
        let builder = substrate_wasm_builder::WasmBuilder::init_with_defaults();
        #[cfg(feature = "metadata-hash")]
        let builder = builder.enable_metadata_hash("MESH", 12);
        builder.build();
    }
}
