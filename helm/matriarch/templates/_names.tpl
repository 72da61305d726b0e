{{- define "matriarch.labels" -}}
app.kubernetes.io/name: matriarch-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "matriarch.selector" -}}
app.kubernetes.io/name: matriarch-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "matriarch.name" -}}
{{- if eq .Release.Name "matriarch" }}matriarch-operator{{ else }}{{ printf "%s-matriarch-operator" .Release.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}
