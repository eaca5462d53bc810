//! Generates a client of the driver's protocol from the repository's `proto` folder.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../../proto/service.proto");
    let descriptors = protox::compile(["../../proto/service.proto"], ["../../proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        // These carry secrets and tokens: without Debug nothing can print them.
        .skip_debug(["v1alpha1.MountRequest", "v1alpha1.MountResponse", "v1alpha1.File"])
        .compile_fds(descriptors)?;
    Ok(())
}
