# syntax=docker/dockerfile:1
# The image: the program and the authorities it trusts, nothing else. For both architectures:
#   docker buildx build --platform linux/amd64,linux/arm64 .
# Without Docker: deploy/binary and deploy/image, which reads the last stage of this file.

FROM --platform=$BUILDPLATFORM rust:1.95-slim-bookworm AS build
ARG TARGETARCH
# The compiler for C is for the cryptography; it must make code for the other architecture too.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev lld \
 && case "$(dpkg --print-architecture)-$TARGETARCH" in \
      amd64-arm64) apt-get install -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross ;; \
      arm64-amd64) apt-get install -y --no-install-recommends gcc-x86-64-linux-gnu libc6-dev-amd64-cross ;; \
    esac \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    deploy/binary "$TARGETARCH" /out/latchkey

FROM scratch
ARG VERSION=0.1.0
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE /LICENSE
COPY --from=build /out/latchkey /latchkey
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
# Each further arena of the allocator keeps freed memory that the others cannot use.
ENV MALLOC_ARENA_MAX=2
LABEL org.opencontainers.image.title="latchkey"
LABEL org.opencontainers.image.description="The AWS provider for the Kubernetes Secrets Store CSI Driver"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="$VERSION"
# uid 0 by intent: the folder of the sockets on the node belongs to root. The chart takes every capability away.
USER 0:0
ENTRYPOINT ["/latchkey"]
