{{- /* A Service's name has no dots and begins with a letter, which a release's need not. */ -}}
{{- define "shopkeeper.name" -}}
{{ regexReplaceAll "^([0-9])" (.Release.Name | replace "." "-") "release-${1}" | trunc 50 | trimSuffix "-" }}-operator
{{- end }}

{{- /* For what lies outside of the release's namespace. Neither part can hold a colon, so no two releases have one name. */ -}}
{{- define "shopkeeper.ownName" -}}
{{ .Release.Namespace }}:{{ include "shopkeeper.name" . }}
{{- end }}

{{- define "shopkeeper.selector" -}}
app.kubernetes.io/name: shopkeeper
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* managed-by names what runs the object: Helm. Shopkeeper's own objects carry `shopkeeper`, which the operator selects by. */ -}}
{{- define "shopkeeper.labels" -}}
{{ include "shopkeeper.selector" . }}
app.kubernetes.io/part-of: shopkeeper
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ include "shopkeeper.version" . | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "shopkeeper.version" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "shopkeeper.image" -}}
{{ .Values.image.registry }}/operator:{{ include "shopkeeper.version" . }}
{{- end }}

{{- define "shopkeeper.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* Which nodes the operator may run on, and whom it may displace; `helm test` has to find room there too. */ -}}
{{- define "shopkeeper.placement" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "shopkeeper.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "shopkeeper.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* Where the monitors look for Shops. */ -}}
{{- define "shopkeeper.shopNamespaces" -}}
{{- with .Values.watchNamespaces -}}
matchNames:
  {{- toYaml . | nindent 2 }}
{{- else -}}
any: true
{{- end }}
{{- end }}
