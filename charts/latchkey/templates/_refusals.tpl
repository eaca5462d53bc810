{{/* Values that are well-formed but would not do what their author intends. */}}
{{- define "latchkey.refusals" -}}
{{- $driver := index .Values "secrets-store-csi-driver" | default dict }}
{{- if $driver.install }}
{{- fail "secrets-store-csi-driver.install is true, but this chart does not include the Secrets Store CSI Driver. Install the driver from its own chart (https://secrets-store-csi-driver.sigs.k8s.io/getting-started/installation) as a release of its own, with tokenRequests for the audiences sts.amazonaws.com and pods.eks.amazonaws.com and with enableSecretRotation: true. Then leave out secrets-store-csi-driver.install here." }}
{{- end }}
{{- if hasSuffix "secrets-store-csi-driver-provider-aws" .Values.image.repository }}
{{- fail (printf "image.repository is %q, which is the image of AWS's own provider, not of Latchkey. Leave image.repository and image.tag out, or name the repository of your Latchkey image." .Values.image.repository) }}
{{- end }}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled }}
{{- fail "podMonitor.enabled and serviceMonitor.enabled are both true, so that Prometheus would count everything twice. Turn one of them off." }}
{{- end }}
{{- $rolling := .Values.updateStrategy.rollingUpdate | default dict }}
{{- if and (eq .Values.updateStrategy.type "RollingUpdate") (hasKey $rolling "maxSurge") (hasKey $rolling "maxUnavailable") }}
{{- $surge := not (has (toString $rolling.maxSurge) (list "0" "0%")) }}
{{- $unavailable := not (has (toString $rolling.maxUnavailable) (list "0" "0%")) }}
{{- if and $surge $unavailable }}
{{- fail "updateStrategy.rollingUpdate has both maxSurge and maxUnavailable above 0, which Kubernetes refuses. To use maxUnavailable, also set maxSurge: 0." }}
{{- end }}
{{- if not (or $surge $unavailable) }}
{{- fail "updateStrategy.rollingUpdate has both maxSurge and maxUnavailable at 0, which Kubernetes refuses. Set one of them to 1." }}
{{- end }}
{{- end }}
{{- with include "latchkey.auditFolder" . }}
{{- $log := clean $.Values.audit.log }}
{{- if ne (dir $log) . }}
{{- fail (printf "audit.log is %q, which is not a file in the folder audit.hostPath (%s), so Latchkey could not create it. Set audit.hostPath: %s, or use a file in %s." $.Values.audit.log . (dir $log) .) }}
{{- end }}
{{- if eq . (include "latchkey.auditStateFolder" $) }}
{{- fail (printf "audit.hostPath and audit.stateHostPath are both %s, and Kubernetes mounts one volume in one place. Use another folder for one of them." .) }}
{{- end }}
{{- end }}
{{- if and .Values.notices.enabled (not .Values.notices.queueUrls) }}
{{- fail "notices.enabled is true, but notices.queueUrls is empty, so no notice could come. Create a queue (latchkey notices --print-setup cloudformation), and name its URL." }}
{{- end }}
{{- if .Values.startupTaint }}
{{- $tolerated := false }}
{{- range (.Values.tolerations | default list) }}
{{- if has (.key | default "") (list "" $.Values.startupTaint) }}
{{- $tolerated = true }}
{{- end }}
{{- end }}
{{- if not $tolerated }}
{{- fail (printf "startupTaint is %q, but tolerations do not tolerate it, so no pod could start on a node to remove it. Add to tolerations: {key: %s, operator: Exists}." .Values.startupTaint .Values.startupTaint) }}
{{- end }}
{{- end }}
{{- if .Values.driverCheck }}
{{- $found := lookup "storage.k8s.io/v1" "CSIDriver" "" "secrets-store.csi.k8s.io" }}
{{- $annotations := dig "metadata" "annotations" dict ($found | default dict) | default dict }}
{{- if and (eq (index $annotations "meta.helm.sh/release-name" | default "") .Release.Name) (eq (index $annotations "meta.helm.sh/release-namespace" | default "") .Release.Namespace) }}
{{- fail (printf "The Secrets Store CSI Driver belongs to this very release (%s in %s), because AWS's own chart brought it. Upgrading the release to this chart would remove the driver from the cluster. Install this chart as a release of its own, under another name. docs/src/moving.md explains how to move." .Release.Name .Release.Namespace) }}
{{- end }}
{{- end }}
{{- end }}
