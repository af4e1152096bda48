//! Generates the C header from the library's source.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let capi = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let config = cbindgen::Config::from_file(capi.join("cbindgen.toml"))?;
    // Its modules are found from there.
    let builder = cbindgen::Builder::new().with_config(config).with_src(capi.join("src/lib.rs"));
    builder.generate()?.write_to_file(capi.join("include/reanimator.h"));
    Ok(())
}
