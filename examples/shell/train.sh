# Learns how often flights are late by carrier and by hour, drawn towards the mean where there are few.
set -e
awk -F, '
    NR == 1 { for (at = 1; at <= NF; at++) column[$at] = at; next }
    {
        late += $column["label"]; all++
        for (i = split("carrier hour", kinds, " "); i > 0; i--) {
            value = kinds[i] == "hour" ? int($column["sched_dep_time"] / 100) : $column["carrier"]
            key = kinds[i] "," value
            lates[key] += $column["label"]; counts[key]++
        }
    }
    END {
        mean = late / all
        print "kind,value,odds\nmean,," log(mean / (1 - mean))
        for (key in counts) {
            rate = (lates[key] + 50 * mean) / (counts[key] + 50)
            print key "," log(rate / (1 - rate)) - log(mean / (1 - mean))
        }
    }
' "$AFRESH_TRAIN" > "$AFRESH_OUT/model.csv"
echo "{\"rows\": $(($(wc -l < "$AFRESH_TRAIN") - 1))}" > "$AFRESH_OUT/metrics.json"
