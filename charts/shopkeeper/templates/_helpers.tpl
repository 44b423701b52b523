{{- define "shopkeeper.name" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}-operator
{{- end }}

{{- define "shopkeeper.selector" -}}
app.kubernetes.io/name: shopkeeper
app.kubernetes.io/instance: {{ .Release.Name }}
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
