{{/* The kubelet's root folder without a slash at its end. */}}
{{- define "latchkey.kubeletPath" -}}
{{- .Values.kubeletPath | trimSuffix "/" }}
{{- end }}

{{/* The folder of the audit log's file on the node; empty if there is no file. */}}
{{- define "latchkey.auditFolder" -}}
{{- if and .Values.audit.enabled (ne .Values.audit.log "stdout") }}
{{- clean .Values.audit.hostPath }}
{{- end }}
{{- end }}

{{/* The folder of the audit log's state on the node; empty if there is none. */}}
{{- define "latchkey.auditStateFolder" -}}
{{- if and .Values.audit.enabled .Values.audit.stateHostPath }}
{{- clean .Values.audit.stateHostPath }}
{{- end }}
{{- end }}

{{/* The program's arguments. A value that is empty is left to the program. */}}
{{- define "latchkey.args" -}}
{{- $args := list
  (printf "--provider-volume=%s" .Values.providerVolume)
  (printf "--socket-name=%s" .Values.socketName)
  (printf "--driver-writes-secrets=%t" .Values.driverWritesSecrets)
}}
{{- if not .Values.driverWritesSecrets }}
{{- $args = append $args (printf "--kubelet-path=%s" (include "latchkey.kubeletPath" .)) }}
{{- end }}
{{- $args = concat $args (list
  "--node-name=$(NODE_NAME)"
  (printf "--http-address=:%d" (int .Values.port))
  (printf "--log-format=%s" .Values.logFormat)
  (printf "--log-level=%s" .Values.logLevel)
) }}
{{- if kindIs "bool" .Values.allowRoleArn }}
{{- $args = append $args (printf "--allow-role-arn=%t" .Values.allowRoleArn) }}
{{- end }}
{{- with .Values.allowedRoles }}
{{- $args = append $args (printf "--allowed-roles=%s" (join "," .)) }}
{{- end }}
{{- with .Values.podIdentityEndpoint }}
{{- $args = append $args (printf "--pod-identity-endpoint=%s" .) }}
{{- end }}
{{- with .Values.podIdentityHttpTimeout }}
{{- $args = append $args (printf "--pod-identity-http-timeout=%s" .) }}
{{- end }}
{{- with .Values.podIdentityCacheScope }}
{{- $args = append $args (printf "--pod-identity-cache-scope=%s" .) }}
{{- end }}
{{- with .Values.maxCredentialAge }}
{{- $args = append $args (printf "--max-credential-age=%s" .) }}
{{- end }}
{{- with .Values.rotationPollInterval }}
{{- $args = append $args (printf "--rotation-poll-interval=%s" .) }}
{{- end }}
{{- with .Values.minRefreshInterval }}
{{- $args = append $args (printf "--min-refresh-interval=%s" .) }}
{{- end }}
{{- with .Values.maxRefreshInterval }}
{{- $args = append $args (printf "--max-refresh-interval=%s" .) }}
{{- end }}
{{- if .Values.notices.enabled }}
{{- $args = append $args (printf "--notices=%s/%s" .Release.Namespace (include "latchkey.noticesName" .)) }}
{{- with .Values.notices.pollInterval }}
{{- $args = append $args (printf "--notified-poll-interval=%s" .) }}
{{- end }}
{{- end }}
{{- with .Values.maxStale }}
{{- $args = append $args (printf "--max-stale=%s" .) }}
{{- end }}
{{- with .Values.idleAfter }}
{{- $args = append $args (printf "--idle-after=%s" .) }}
{{- end }}
{{- with .Values.cacheMaxBytes }}
{{- $args = append $args (printf "--cache-max-bytes=%d" (int .)) }}
{{- end }}
{{- with .Values.maxMounts }}
{{- $args = append $args (printf "--max-mounts=%d" (int .)) }}
{{- end }}
{{- with .Values.allowedRegions }}
{{- $args = append $args (printf "--allowed-regions=%s" (join "," .)) }}
{{- end }}
{{- with .Values.maxAwsCalls }}
{{- $args = append $args (printf "--max-aws-calls=%d" (int .)) }}
{{- end }}
{{- with .Values.mountTimeout }}
{{- $args = append $args (printf "--mount-timeout=%s" .) }}
{{- end }}
{{- with (.Values.k8sThrottlingParams | default dict).qps }}
{{- $args = append $args (printf "--qps=%v" .) }}
{{- end }}
{{- with (.Values.k8sThrottlingParams | default dict).burst }}
{{- $args = append $args (printf "--burst=%d" (int .)) }}
{{- end }}
{{- if .Values.podEvents.enabled }}
{{- $args = append $args "--pod-events=true" }}
{{- end }}
{{- with .Values.startupTaint }}
{{- $args = append $args (printf "--startup-taint=%s" .) }}
{{- end }}
{{- if .Values.metricsNamespaceLabel }}
{{- $args = append $args "--metrics-namespace-label=true" }}
{{- end }}
{{- if .Values.audit.enabled }}
{{- $args = append $args (printf "--audit-log=%s" (clean .Values.audit.log)) }}
{{- end }}
{{- with include "latchkey.auditStateFolder" . }}
{{- $args = append $args (printf "--state-dir=%s" .) }}
{{- end }}
{{- with .Values.eksAddonVersion }}
{{- $args = append $args (printf "--eks-addon-version=%s" .) }}
{{- end }}
{{- toYaml (concat $args (.Values.extraArgs | default list)) }}
{{- end }}

{{/* The container's environment. */}}
{{- define "latchkey.env" -}}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- if ((.Values.resources | default dict).limits | default dict).memory }}
- name: LATCHKEY_MEMORY_LIMIT
  valueFrom:
    resourceFieldRef:
      resource: limits.memory
{{- end }}
{{- if .Values.awsRegion }}
- name: AWS_REGION
  value: {{ .Values.awsRegion | quote }}
{{- else }}
# Empty if the pod has no such label: before Kubernetes 1.35, or on a node without it.
- name: LATCHKEY_POD_REGION
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['topology.kubernetes.io/region']
{{- end }}
{{- with include "latchkey.awsEnv" . }}
{{ trim . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* How AWS is reached: the environment of every container that calls it. */}}
{{- define "latchkey.awsEnv" -}}
{{- if eq (toString .Values.useFipsEndpoint) "true" }}
- name: AWS_USE_FIPS_ENDPOINT
  value: "true"
{{- end }}
{{- if .Values.useDualstackEndpoint }}
- name: AWS_USE_DUALSTACK_ENDPOINT
  value: "true"
{{- end }}
{{- with .Values.endpointUrl }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.endpointUrls.secretsManager }}
- name: AWS_ENDPOINT_URL_SECRETS_MANAGER
  value: {{ . | quote }}
{{- end }}
{{- with .Values.endpointUrls.ssm }}
- name: AWS_ENDPOINT_URL_SSM
  value: {{ . | quote }}
{{- end }}
{{- with .Values.endpointUrls.sts }}
- name: AWS_ENDPOINT_URL_STS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.endpointUrls.sqs }}
- name: AWS_ENDPOINT_URL_SQS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.httpsProxy }}
- name: HTTPS_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.caBundle.configMapName }}
- name: AWS_CA_BUNDLE
  value: /etc/latchkey/ca/{{ .Values.caBundle.key }}
{{- end }}
{{- end }}
