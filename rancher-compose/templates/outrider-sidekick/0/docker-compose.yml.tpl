version: '2'
services:
  # The application: two containers, never two of them on one host.
  web:
    image: ${WEB_IMAGE}
    logging:
      driver: json-file
      options:
        max-size: 10m
        max-file: '3'
    labels:
      io.rancher.scheduler.affinity:container_label_ne: io.rancher.stack_service.name=$${stack_name}/$${service_name}
  # HAProxy as an ordinary service. Its servers are the containers that Rancher's DNS names.
  lb:
    image: ${LB_IMAGE}
    ports:
    - '80:80'
    logging:
      driver: json-file
      options:
        max-size: 10m
        max-file: '3'
    labels:
      io.rancher.scheduler.global: 'true'
      io.rancher.scheduler.affinity:host_label: ${OUTRIDER_HOST_LABEL}
      io.rancher.sidekicks: outrider
    command:
    - sh
    - -c
    - |
      exec haproxy -db -f /dev/stdin <<'END'
      global
        maxconn 4096
      defaults
        mode http
        timeout connect 5s
        timeout client 50s
        timeout server 50s
      resolvers rancher
        nameserver dns 169.254.169.250:53
        hold valid 2s
      frontend http
        bind :80
        default_backend web
      backend web
        server-template web 1-10 web.{{.Stack.Name}}.rancher.internal:80 check resolvers rancher init-addr none
      END
  # Its sidekick: created, upgraded and removed with it, on the same hosts.
  outrider:
    image: ${IMAGE}
    # The address goes to the host's own interface, and the adverts come from it.
    network_mode: host
    cap_drop:
    - ALL
    cap_add:
    # The address; VRRP and ARP; and two to give up root.
    - NET_ADMIN
    - NET_RAW
    - SETUID
    - SETGID
    read_only: true
    logging:
      driver: json-file
      options:
        max-size: 10m
        max-file: '3'
    environment:
      OUTRIDER_VIP: ${OUTRIDER_VIP}
      OUTRIDER_HOST_LABEL: ${OUTRIDER_HOST_LABEL}
      OUTRIDER_CHECK: ${OUTRIDER_CHECK}
