# The agent alone, static, in an empty image: docker build -t outrider:0.1.0 .
# With a shell, for exec checks and notify commands: docker build --target tools -t outrider:0.1.0-tools .
# The toolchain: any image with rustc, cargo, a C compiler and ca-certificates on Debian or Ubuntu.
ARG RUST_IMAGE=rust:1-bookworm

FROM ${RUST_IMAGE} AS build
# linux/amd64 or linux/arm64. Set by BuildKit and buildx; without them the image is for the machine that builds it.
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
    rm -r target; \
    /image/outrider --version

FROM scratch AS agent
COPY --from=build /image /
LABEL org.opencontainers.image.title="outrider" \
      org.opencontainers.image.description="Keeps one address on whichever host has a load balancer that answers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whether the agent works; a Backup is healthy, and so is a host whose load balancer is away.
HEALTHCHECK --interval=10s --timeout=5s CMD ["/outrider", "status", "--healthz"]
# So that "docker exec outrider outrider status" works.
ENV PATH=/
STOPSIGNAL SIGTERM
ENTRYPOINT ["/outrider"]

# busybox: sh, wget, nc and some hundred more, in one static file.
FROM build AS shell
RUN set -eu; \
    command -v busybox >/dev/null || { apt-get update; apt-get install -y --no-install-recommends busybox-static; }; \
    mkdir -p /shell/bin /shell/tmp; \
    chmod 1777 /shell/tmp; \
    cp "$(command -v busybox)" /shell/bin/busybox; \
    for name in $(busybox --list); do [ "$name" = busybox ] || ln -s busybox "/shell/bin/$name"; done

FROM agent AS tools
COPY --from=shell /shell /
ENV PATH=/bin:/

# What is built if no target is named.
FROM agent
