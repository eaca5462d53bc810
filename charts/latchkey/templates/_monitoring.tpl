{{/* The chart's labels and those by which a monitoring system selects an object: (list . LABELS). */}}
{{- define "latchkey.monitoringLabels" -}}
{{- toYaml (merge (include "latchkey.labels" (first .) | fromYaml) (last . | default dict)) }}
{{- end }}

{{/* What the endpoint of a monitor has next to its port, from the values of that monitor. */}}
{{- define "latchkey.scrape" -}}
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
relabelings:
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The alerts about what is switched off. */}}
{{- define "latchkey.idleAlerts" -}}
{{- if not .Values.notices.enabled }}
- LatchkeyNoticesStopped
- LatchkeyNoticesFailing
- LatchkeyChangesUntold
{{- end }}
{{- if not .Values.rbac.tokenKeys }}
- LatchkeyTokenKeysUnreadable
{{- end }}
{{- if not .Values.audit.enabled }}
- LatchkeyAuditLinesLost
- LatchkeyFirstSeenReads
{{- end }}
{{- end }}

{{/* The alerts of rules/*.yaml as groups of Prometheus, with the numbers of prometheusRule.alerts. */}}
{{- define "latchkey.rules" -}}
{{- $groups := list }}
{{- $idle := include "latchkey.idleAlerts" . | fromYamlArray }}
{{- range $path, $_ := .Files.Glob "rules/*.yaml" }}
  {{- $rules := list }}
  {{- range $rule := fromYamlArray ($.Files.Get $path) }}
    {{- $set := index ($.Values.prometheusRule.alerts | default dict) $rule.alert | default dict }}
    {{- if and $set.enabled (not (has $rule.alert $idle)) }}
      {{- $expr := $rule.expr | replace "$threshold" (toString $set.threshold)
        | replace "$provider" (trimSuffix ".sock" $.Values.socketName)
        | replace "$namespace" $.Release.Namespace
        | replace "$daemonset" (include "latchkey.fullname" $) }}
      {{- $annotations := $rule.annotations }}
      {{- with $.Values.prometheusRule.runbookUrl }}
        {{- $_ := set $annotations "runbook_url" (printf "%s#%s" . (lower $rule.alert)) }}
      {{- end }}
      {{- $labels := merge (dict "severity" $set.severity) ($set.labels | default dict) ($.Values.prometheusRule.alertLabels | default dict) }}
      {{- $rules = append $rules (dict "alert" $rule.alert "expr" $expr "for" $set.for "labels" $labels "annotations" $annotations) }}
    {{- end }}
  {{- end }}
  {{- if $rules }}
    {{- $groups = append $groups (dict "name" (printf "latchkey-%s" (base $path | trimSuffix ".yaml")) "rules" $rules) }}
  {{- end }}
{{- end }}
{{- toYaml (dict "groups" $groups) }}
{{- end }}
