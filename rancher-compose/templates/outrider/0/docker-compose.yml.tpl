version: '2'
services:
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
    labels:
      io.rancher.scheduler.global: 'true'
      io.rancher.scheduler.affinity:host_label: ${OUTRIDER_HOST_LABEL}
    # An answer that was left open is an empty value: unset.
    environment:
      OUTRIDER_VIP: ${OUTRIDER_VIP}
      OUTRIDER_INTERFACE: ${OUTRIDER_INTERFACE}
      OUTRIDER_HOST_LABEL: ${OUTRIDER_HOST_LABEL}
      OUTRIDER_LB: ${OUTRIDER_LB}
      OUTRIDER_CHECK: ${OUTRIDER_CHECK}
      OUTRIDER_CHECK_INTERVAL: ${OUTRIDER_CHECK_INTERVAL}
      OUTRIDER_ADVERT_INTERVAL: ${OUTRIDER_ADVERT_INTERVAL}
      OUTRIDER_VRRP_VERSION: ${OUTRIDER_VRRP_VERSION}
      OUTRIDER_VRID: ${OUTRIDER_VRID}
      OUTRIDER_PREEMPT: ${OUTRIDER_PREEMPT}
      OUTRIDER_GUARD: ${OUTRIDER_GUARD}
      OUTRIDER_AUTH_PASS: ${OUTRIDER_AUTH_PASS}
      OUTRIDER_AUTH_KEYS: ${OUTRIDER_AUTH_KEYS}
      OUTRIDER_AUTH_MODE: ${OUTRIDER_AUTH_MODE}
      OUTRIDER_SMTP_SERVER: ${OUTRIDER_SMTP_SERVER}
      OUTRIDER_SMTP_FROM: ${OUTRIDER_SMTP_FROM}
      OUTRIDER_SMTP_TO: ${OUTRIDER_SMTP_TO}
      OUTRIDER_SMTP_USER: ${OUTRIDER_SMTP_USER}
      OUTRIDER_SMTP_PASSWORD: ${OUTRIDER_SMTP_PASSWORD}
      OUTRIDER_SMTP_TLS: ${OUTRIDER_SMTP_TLS}
      OUTRIDER_STATUS_LISTEN: ':${STATUS_PORT}'
      OUTRIDER_STATUS_TOKEN: ${OUTRIDER_STATUS_TOKEN}
      OUTRIDER_LOG: ${OUTRIDER_LOG}
      OUTRIDER_LOG_FORMAT: ${OUTRIDER_LOG_FORMAT}
{{- if .Values.AUTH_KEYS_SECRET}}
      OUTRIDER_AUTH_KEYS_FILE: /run/secrets/auth-keys
{{- end}}
{{- if .Values.SMTP_PASSWORD_SECRET}}
      OUTRIDER_SMTP_PASSWORD_FILE: /run/secrets/smtp-password
{{- end}}
{{- if or .Values.AUTH_KEYS_SECRET .Values.SMTP_PASSWORD_SECRET}}
    secrets:
{{- end}}
{{- if .Values.AUTH_KEYS_SECRET}}
    - source: '{{.Values.AUTH_KEYS_SECRET}}'
      target: auth-keys
{{- end}}
{{- if .Values.SMTP_PASSWORD_SECRET}}
    - source: '{{.Values.SMTP_PASSWORD_SECRET}}'
      target: smtp-password
{{- end}}
{{- if or .Values.AUTH_KEYS_SECRET .Values.SMTP_PASSWORD_SECRET}}
secrets:
{{- end}}
{{- if .Values.AUTH_KEYS_SECRET}}
  '{{.Values.AUTH_KEYS_SECRET}}':
    external: true
{{- end}}
{{- if .Values.SMTP_PASSWORD_SECRET}}
  '{{.Values.SMTP_PASSWORD_SECRET}}':
    external: true
{{- end}}
