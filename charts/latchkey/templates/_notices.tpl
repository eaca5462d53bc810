{{/* The name of everything that sends change notices, and of the object that the nodes watch. */}}
{{- define "latchkey.noticesName" -}}
{{- printf "%s-notices" (include "latchkey.fullname" . | trunc 49 | trimSuffix "-") }}
{{- end }}

{{/* The labels by which the Deployment knows its pods. The DaemonSet must not take them for its own. */}}
{{- define "latchkey.noticesSelectorLabels" -}}
app.kubernetes.io/name: {{ printf "%s-notices" (include "latchkey.name" . | trunc 55 | trimSuffix "-") }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "latchkey.noticesLabels" -}}
{{- toYaml (merge (include "latchkey.noticesSelectorLabels" . | fromYaml) (include "latchkey.labels" . | fromYaml)) }}
{{- end }}

{{- define "latchkey.noticesPodLabels" -}}
{{- toYaml (merge (include "latchkey.noticesSelectorLabels" . | fromYaml) (include "latchkey.podLabels" . | fromYaml)) }}
{{- end }}

{{- define "latchkey.noticesServiceAccountName" -}}
{{- default (include "latchkey.noticesName" .) .Values.notices.serviceAccount.name }}
{{- end }}

{{/* The arguments of `latchkey notices`. */}}
{{- define "latchkey.noticesArgs" -}}
{{- $notices := .Values.notices }}
{{- $args := list }}
{{- range $notices.queueUrls }}
{{- $args = append $args (printf "--queue-url=%s" .) }}
{{- end }}
{{- range $notices.covers }}
{{- $args = append $args (printf "--covers=%s" .) }}
{{- end }}
{{- $args = concat $args (list
  (printf "--object=%s/%s" .Release.Namespace (include "latchkey.noticesName" .))
  (printf "--lease=%s" (include "latchkey.noticesName" .))
  (printf "--http-address=:%d" (int .Values.port))
  (printf "--log-format=%s" .Values.logFormat)
  (printf "--log-level=%s" .Values.logLevel)
) }}
{{- with $notices.secretsManagerRate }}
{{- $args = append $args (printf "--secrets-manager-rate=%d" (int .)) }}
{{- end }}
{{- with $notices.parameterStoreRate }}
{{- $args = append $args (printf "--parameter-store-rate=%d" (int .)) }}
{{- end }}
{{- toYaml $args }}
{{- end }}
