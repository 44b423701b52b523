{{- /* One dashboard of files/dashboards.yaml as the JSON that Grafana reads. */ -}}
{{- define "shopkeeper.dashboard" -}}
{{- $source := dict "type" "prometheus" "uid" "${datasource}" -}}
{{- $picker := dict "name" "datasource" "label" "Data source" "type" "datasource" "query" "prometheus" -}}
{{- $variables := list $picker -}}
{{- range .dashboard.variables -}}
{{- $query := printf "label_values(%s, %s)" .from .name -}}
{{- $variable := dict "name" .name "label" (title .name) "type" "query" "datasource" $source "query" $query "refresh" 2 "sort" 1 -}}
{{- $variables = append $variables $variable -}}
{{- end -}}
{{- $panels := list -}}
{{- range $place, $panel := .dashboard.panels -}}
{{- $targets := list -}}
{{- range $line, $query := $panel.queries -}}
{{- $id := substr $line (int (add1 $line)) "ABCDEFGH" -}}
{{- $targets = append $targets (dict "refId" $id "datasource" $source "expr" $query.expr "legendFormat" $query.legend) -}}
{{- end -}}
{{- /* Three in a row. */ -}}
{{- $position := dict "w" 8 "h" 8 "x" (mul 8 (mod $place 3)) "y" (mul 8 (div $place 3)) -}}
{{- $looks := dict "defaults" (dict "unit" $panel.unit "min" 0) "overrides" list -}}
{{- $drawn := dict "id" (add1 $place) "type" "timeseries" "title" $panel.title "description" $panel.help "datasource" $source -}}
{{- $panels = append $panels (merge $drawn (dict "gridPos" $position "fieldConfig" $looks "targets" $targets)) -}}
{{- end -}}
{{- dict
  "uid" (printf "shopkeeper-%s" .name)
  "title" (printf "Shopkeeper / %s" .dashboard.title)
  "tags" (list "shopkeeper")
  "schemaVersion" 39
  "refresh" "30s"
  "time" (dict "from" "now-1h" "to" "now")
  "templating" (dict "list" $variables)
  "panels" $panels
  | toPrettyJson }}
{{- end }}
