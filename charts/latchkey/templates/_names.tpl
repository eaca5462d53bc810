{{/* The chart's name, or what stands for it. */}}
{{- define "latchkey.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of every object: the release's name, with the chart's unless it is in there already. */}}
{{- define "latchkey.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The labels by which the DaemonSet knows its pods. They can never change in an upgrade. */}}
{{- define "latchkey.selectorLabels" -}}
app.kubernetes.io/name: {{ include "latchkey.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of every object. What the user gives cannot replace what the chart needs. */}}
{{- define "latchkey.labels" -}}
{{- $own := include "latchkey.selectorLabels" . | fromYaml }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- $_ := set $own "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63) }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- toYaml (merge $own (.Values.commonLabels | default dict)) }}
{{- end }}

{{/* The labels of the pods. */}}
{{- define "latchkey.podLabels" -}}
{{- $own := include "latchkey.selectorLabels" . | fromYaml }}
{{- $_ := set $own "app.kubernetes.io/version" (.Chart.AppVersion | replace "+" "_" | trunc 63) }}
{{- toYaml (merge $own (.Values.podLabels | default dict) (.Values.commonLabels | default dict)) }}
{{- end }}

{{/* The name of the pods' ServiceAccount. */}}
{{- define "latchkey.serviceAccountName" -}}
{{- coalesce .Values.serviceAccount.name .Values.rbac.serviceAccountName (include "latchkey.fullname" .) }}
{{- end }}

{{/* The image, by digest if there is one. */}}
{{- define "latchkey.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* "true" when the provider asks the Kubernetes API server for ServiceAccounts. */}}
{{- define "latchkey.getsServiceAccounts" -}}
{{- if .Values.rbac.serviceAccounts }}true{{ end }}
{{- end }}

{{/* "true" when the provider asks the Kubernetes API server for its Node. */}}
{{- define "latchkey.getsNodes" -}}
{{- if and .Values.rbac.nodes (not .Values.awsRegion) }}true{{ end }}
{{- end }}

{{/* "true" when the provider asks the Kubernetes API server for anything. */}}
{{- define "latchkey.usesKubernetes" -}}
{{- if or (include "latchkey.getsServiceAccounts" .) (include "latchkey.getsNodes" .) .Values.rbac.tokenKeys .Values.podEvents.enabled .Values.startupTaint .Values.notices.enabled }}true{{ end }}
{{- end }}
