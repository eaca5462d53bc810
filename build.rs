//! Generates the driver's protocol from `proto/`, without protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto/service.proto");
    let descriptors = protox::compile(["proto/service.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .codec_path("crate::server::grpc::codec::ExactCodec")
        // Share the contents with the value they come from instead of copying them.
        .bytes(".v1alpha1.File.contents")
        // These messages carry secrets and tokens. Without Debug, nothing can print them.
        .skip_debug(["v1alpha1.MountRequest", "v1alpha1.MountResponse", "v1alpha1.File"])
        .compile_fds(descriptors)?;
    Ok(())
}
