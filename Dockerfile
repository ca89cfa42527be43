# The agent alone, static, in an empty image: docker build -t outrider:0.1.0 .
# The toolchain: any image with rustc, cargo, a C compiler and ca-certificates on Debian or Ubuntu.
ARG RUST_IMAGE=rust:1-bookworm

FROM ${RUST_IMAGE} AS build
# Set by BuildKit and buildx; without them the image is for the machine that builds it.
ARG TARGETARCH
WORKDIR /build
COPY . .
RUN set -eu; \
    case "${TARGETARCH:-$(uname -m)}" in \
      amd64|x86_64) target=x86_64-unknown-linux-gnu ;; \
      arm64|aarch64) target=aarch64-unknown-linux-gnu ;; \
      *) echo "no build for ${TARGETARCH:-$(uname -m)}" >&2; exit 1 ;; \
    esac; \
    RUSTFLAGS="-C target-feature=+crt-static" \
      cargo build --release --locked --no-default-features --target "$target"; \
    mkdir -p /image/etc/ssl/certs; \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    cp "target/$target/release/outrider" /image/outrider; \
    /image/outrider --version

FROM scratch
COPY --from=build /image /
LABEL org.opencontainers.image.title="outrider" \
      org.opencontainers.image.description="Keeps one address on whichever host has a load balancer that answers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
STOPSIGNAL SIGTERM
ENTRYPOINT ["/outrider"]
