"""What the dashboards show: each panel's question, its queries and what the figures mean. make.py writes them."""

from __future__ import annotations

from shapes import BLUE, GREEN, ORANGE, RED, UP, YELLOW, YES_IS_BAD, Board, Panel, Row

_RATE = "$__rate_interval"
_DISKS = 'fstype!~"tmpfs|ramfs|squashfs|overlay|fuse.*|iso9660", instance=~"$instance"'
_SERVED = 'kind=~"$kind", window="$window"'
_REQUESTS = "parivision_api_requests_total"
_SECONDS = "parivision_api_request_duration_seconds"
_SINGLE = f'rate({_SECONDS}_bucket{{route="/v1/predict"}}[{_RATE}])'

OPERATIONS = Board(
    "operations",
    "PariVision: operations",
    "Whether everything answers, what the last runs came to, and how busy the dashboard is.",
    (
        Row(
            "Services",
            (
                Panel("states", "Who answers", "Whether Prometheus reached each service when it last asked.",
                      {"min by (job) (up)": "{{job}}"}, width=12, words=UP, runbook="exporterdown"),
                Panel("stat", "Alerts that fire", "Alerts in Prometheus now, whether or not somebody was told.",
                      {'count(ALERTS{alertstate="firing"}) or vector(0)': "firing"}, width=4,
                      thresholds=((1, RED),), named=False),
                Panel("stat", "Metrics that fail", "Sources that the exporter could not ask when it last tried.",
                      {"parivision_scrape_error": "{{collector}}"}, words=YES_IS_BAD, runbook="collectorfailing"),
            ),
        ),
        Row(
            "Runs",
            (
                Panel("stat", "Last good run", "Time since each job last ended well, for all notebooks.",
                      {"time() - max by (job) (parivision_run_last_success_timestamp_seconds)": "{{job}}"},
                      unit="s", colour=BLUE, decimals=0, runbook="norunfortoolong"),
                Panel("stat", "Next slot", "Time until the first slot of each job that no run was for yet; it is "
                      "negative where one was missed, and twelve hours later there is an alert.",
                      {"max by (job) (parivision_schedule_next_timestamp_seconds) - time()": "{{job}}"},
                      unit="s", colour=RED, thresholds=((-43200, ORANGE), (-3600, YELLOW), (0, GREEN)), decimals=0,
                      runbook="norunfortoolong"),
                Panel("stat", "Last run failed", "Whether each job's last run failed or died; one that its user "
                      "stopped does not count.",
                      {"max by (job) (parivision_run_last_failed)": "{{job}}"}, words=YES_IS_BAD, runbook="runfailed"),
                Panel("timeseries", "What runs take", "Duration of each job's last run.",
                      {"max by (job) (parivision_run_last_duration_seconds)": "{{job}}"}, unit="s", width=12, low=0),
                Panel("bars", "What notebooks take", "Duration of each notebook when it last ended well.",
                      {"sort_desc(max by (task) (parivision_task_last_duration_seconds))": "{{task}}"}, unit="s",
                      width=12, low=0, colour=BLUE),
            ),
            height=8,
        ),
        Row(
            "Data",
            (
                Panel("stat", "Shots", "Shots that the last build read from the store.",
                      {"max(parivision_shots_stored)": "shots"}, width=6, colour=BLUE, named=False),
                Panel("stat", "Newest game", "Time since the day of the newest game. Within the season, more than nine "
                      "days are an alert; a simulated league may be years away.",
                      {"time() - max(parivision_newest_game_timestamp_seconds)": "age"}, unit="s", width=6, colour=BLUE,
                      decimals=0, named=False, runbook="newestgameold"),
                Panel("stat", "Age of these figures", "Time since the file with the figures of runs was written, which "
                      "every run does.",
                      {'time() - max(node_textfile_mtime_seconds{file=~".*parivision[.]prom"})': "age"}, unit="s",
                      width=6, thresholds=((691200, YELLOW),), decimals=0, named=False, runbook="runmetricsstale"),
                Panel("stat", "Store", "Whether the store answers; a DuckDB file, whether it is one.",
                      {"min by (store) (parivision_store_up)": "{{store}}"}, width=6, words=UP, runbook="mongodbdown"),
            ),
            height=5,
        ),
        Row(
            "Dashboard",
            (
                Panel("timeseries", "Kernels", "A kernel stands behind every open page; those of the pool wait for "
                      "visitors. As many as the limit may be busy or idle.",
                      {"sum by (state) (parivision_dashboard_kernels)": "{{state}}",
                       "sum(parivision_dashboard_kernels_limit)": "limit"}, low=0, runbook="dashboardfull"),
                Panel("timeseries", "Memory of kernels", "What all kernels take; pages that they share count once.",
                      {"sum(parivision_dashboard_kernel_memory_bytes)": "memory"}, unit="bytes", low=0),
                Panel("timeseries", "Visitors", "Pages opened, and visitors turned away because as many pages as the "
                      "machine carries were open, a minute.",
                      {f"60 * sum(rate(parivision_dashboard_pages_opened_total[{_RATE}]))": "opened",
                       f"60 * sum(rate(parivision_dashboard_refused_total[{_RATE}]))": "turned away"},
                      unit="cpm", low=0, runbook="dashboardfull"),
            ),
        ),
        Row(
            "Supervision itself",
            (
                Panel("timeseries", "Messages that could not be delivered", "Alertmanager's failed attempts, a minute, "
                      "by the way they were to go.",
                      {f"60 * sum by (integration) (rate(alertmanager_notifications_failed_total[{_RATE}]))":
                       "{{integration}}"}, unit="cpm", low=0, runbook="notificationsfailing"),
                Panel("timeseries", "What asking takes", "Duration of Prometheus' last request to each service; after "
                      "ten seconds it gives up.",
                      {"max by (job) (scrape_duration_seconds)": "{{job}}"}, unit="s", low=0,
                      thresholds=((10, RED),)),
                Panel("timeseries", "Trainings that alerts asked for", "What became of the alerts that reached the "
                      "hook, within a day.",
                      {"sum by (outcome) (increase(parivision_hook_alerts_total[1d]))": "{{outcome}}"}, low=0,
                      runbook="retrainnotstarted"),
            ),
        ),
    ),
)  # fmt: skip

MODELS = Board(
    "model_quality",
    "PariVision: model quality",
    "How good the models were on games new to them at the last build, and how good the served predictions have been.",
    (
        Row(
            "At the last build",
            (
                Panel("timeseries", "Log loss", "Price of a probability in nats a shot, lower is better, .693 is a "
                      "coin: the model that serves, and the zone rate on the same games.",
                      {'max by (kind) (parivision_model_log_loss_nats{kind=~"$kind"})': "{{kind}}",
                       'max by (kind) (parivision_model_baseline_log_loss_nats{kind=~"$kind"})':
                       "zone rate for {{kind}}"},
                      unit="none", width=12, decimals=4),
                Panel("timeseries", "Calibration error", "Average distance of what was said from what came true (ECE). "
                      "An alert comes at .02 beyond what chance alone explains.",
                      {'max by (kind) (parivision_model_calibration_error_ratio{kind=~"$kind"})': "{{kind}}"},
                      unit="percentunit", width=12, low=0, thresholds=((0.02, YELLOW), (0.04, RED)),
                      runbook="calibrationdecay"),
                Panel("stat", "Drift", "Whether the newest games differ from those of the training.",
                      {"max(parivision_drift_detected)": "drift"}, width=6, words=YES_IS_BAD, named=False,
                      runbook="driftdetected"),
                Panel("stat", "Challenger refused", "Whether the gate refused the last challenger of each kind, which "
                      "differed from the champion. The champion goes on serving.",
                      {'max by (kind) (parivision_champion_refused{kind=~"$kind"})': "{{kind}}"}, width=9,
                      words={0: ("no", GREEN), 1: ("yes", YELLOW)}, runbook="championrefused"),
                Panel("stat", "Age of the model", "Time since the model that serves was trained and promoted.",
                      {'time() - max by (kind) (parivision_model_trained_timestamp_seconds{kind=~"$kind"})':
                       "{{kind}}"},
                      unit="s", width=9, colour=BLUE, decimals=0),
            ),
        ),
        Row(
            "As served",
            (
                Panel("timeseries", "Log loss of served predictions", "Of predictions whose shot is known by now, in "
                      "nats a shot, and the zone rate on the same shots.",
                      {f"max by (kind, role) (parivision_serving_log_loss_nats{{{_SERVED}}})": "{{kind}} {{role}}",
                       f"max by (kind, role) (parivision_serving_baseline_log_loss_nats{{{_SERVED}}})":
                       "zone rate for {{kind}} {{role}}"}, unit="none", width=12, decimals=4),
                Panel("timeseries", "Edge", "By how much served predictions were better than the zone rate: what a "
                      "bettor with these probabilities gains a bet, as growth of his logarithm, against fair odds at "
                      "the zone's rate. No closing prices are needed.",
                      {f"max by (kind, role) (parivision_serving_edge_nats{{{_SERVED}}})": "{{kind}} {{role}}"},
                      unit="none", width=12, decimals=4, colour=RED, thresholds=((0, GREEN),)),
                Panel("timeseries", "Calibration error of served predictions", "ECE of predictions whose shot is known "
                      "by now. A thousand right ones show about .07 by chance.",
                      {f"max by (kind, role) (parivision_serving_calibration_error_ratio{{{_SERVED}}})":
                       "{{kind}} {{role}}"}, unit="percentunit", width=12, low=0, runbook="servedcalibrationdecay"),
                Panel("timeseries", "Predictions these figures rest on", "Graded predictions within the window.",
                      {f"max by (kind, role) (parivision_serving_graded_predictions{{{_SERVED}}})":
                       "{{kind}} {{role}}"}, width=6, low=0),
                Panel("timeseries", "Ledger", "Served predictions, by whether the result of their shot is known. "
                      "Questions of the kind \"what if\" wait for ever.",
                      {"max by (state) (parivision_ledger_predictions)": "{{state}}"}, width=6, low=0,
                      runbook="ledgernotgraded"),
            ),
        ),
        Row(
            "Challengers",
            (
                Panel("stat", "Running beside the champion", "Share of requests that a challenger sees. In the mode "
                      "shadow it sees all of them and answers none.",
                      {'sum by (kind, mode) (parivision_rollout_share_ratio{kind=~"$kind"})': "{{kind}}, {{mode}}"},
                      unit="percentunit", colour=BLUE),
                Panel("stat", "Rolled back", "Whether the last rollout of each kind was ended for its errors, its pace "
                      "or its calibration.",
                      {'max by (kind) (parivision_rollout_rolled_back{kind=~"$kind"})': "{{kind}}"}, words=YES_IS_BAD,
                      runbook="rolloutrolledback"),
                Panel("timeseries", "Who answers", "Shots that each role answered, a second.",
                      {f'sum by (kind, role) (rate(parivision_api_predictions_total{{kind=~"$kind"}}[{_RATE}]))':
                       "{{kind}} {{role}}"}, unit="cps", low=0),
            ),
        ),
    ),
    {"kind": "label_values(parivision_model_log_loss_nats, kind)", "window": ["7d", "30d"]},
    hours=24 * 7,
)  # fmt: skip

API = Board(
    "api",
    "PariVision: prediction API",
    "Who asks the API for what, how fast it answers, and what it refuses. Its promises: 99.9 % of requests without a "
    "fault of its own, 99 % of single predictions within 25 ms.",
    (
        Row(
            "Now",
            (
                Panel("stat", "Ready", "Whether predictions can be answered: a champion and a snapshot are loaded.",
                      {"min(parivision_api_ready)": "ready"}, width=4, words={0: ("no", RED), 1: ("yes", GREEN)},
                      named=False, runbook="apinotready"),
                Panel("stat", "Requests a second", "All routes, the last minutes.",
                      {f"sum(rate({_REQUESTS}[{_RATE}]))": "requests"}, unit="reqps", width=4, colour=BLUE,
                      named=False),
                Panel("stat", "Faults", "Share of requests that ended with a fault of the API's own (5xx).",
                      {f'(sum(rate({_REQUESTS}{{status=~"5.."}}[{_RATE}])) or vector(0)) '
                       f"/ sum(rate({_REQUESTS}[{_RATE}]))": "faults"}, unit="percentunit", width=4, decimals=2,
                      thresholds=((0.001, YELLOW), (0.0144, RED)), named=False, runbook="apierrorbudgetburn"),
                Panel("stat", "Over 25 ms", "Share of single predictions that took longer.",
                      {f'1 - sum(rate({_SECONDS}_bucket{{route="/v1/predict", le="0.025"}}[{_RATE}])) '
                       f'/ sum(rate({_SECONDS}_count{{route="/v1/predict"}}[{_RATE}]))': "slow"}, unit="percentunit",
                      width=4, decimals=2, thresholds=((0.01, YELLOW), (0.144, RED)), named=False,
                      runbook="apilatencybudgetburn"),
                Panel("table", "Champions", "The models that serve.", {"max by (kind, name, version, sha256) "
                      "(parivision_champion_info)": "{{kind}}"}, left_out=("Time", "Value")),
            ),
            height=5,
        ),
        Row(
            "Requests",
            (
                Panel("timeseries", "By route", "Requests a second.",
                      {f'sum by (route) (rate({_REQUESTS}{{route=~"$route"}}[{_RATE}]))': "{{route}}"}, unit="reqps",
                      width=12, low=0),
                Panel("timeseries", "By status", "Requests a second. 4xx are refused for a reason, 5xx are faults.",
                      {f'sum by (status) (rate({_REQUESTS}{{route=~"$route"}}[{_RATE}]))': "{{status}}"}, unit="reqps",
                      width=12, low=0, stacked=True, runbook="apierrorbudgetburn"),
                Panel("timeseries", "In progress", "Requests that wait for their answer.",
                      {"sum by (instance) (parivision_api_requests_in_progress)": "{{instance}}"}, low=0),
                Panel("timeseries", "Refused", "Requests refused before they reached a model, a minute, by reason.",
                      {f"60 * sum by (reason) (rate(parivision_api_refused_total[{_RATE}]))": "{{reason}}"}, unit="cpm",
                      low=0),
                Panel("timeseries", "Shots", "Shots answered a second, those of batches included, and those that no "
                      "model could answer.",
                      {f"sum by (kind, role) (rate(parivision_api_predictions_total[{_RATE}]))": "{{kind}} {{role}}",
                       f"sum(rate(parivision_api_prediction_errors_total[{_RATE}])) or "
                       f"0 * sum(rate(parivision_api_predictions_total[{_RATE}]))": "failed"}, unit="cps", low=0),
            ),
        ),
        Row(
            "Time to answer",
            (
                Panel("timeseries", "Single predictions", "Half, 95 % and 99 % of them were answered within this time, "
                      "as read from a histogram.",
                      {f"histogram_quantile({q}, sum by (le) ({_SINGLE}))": name
                       for q, name in ((0.5, "half"), (0.95, "95 %"), (0.99, "99 %"))}, unit="s", width=12,
                      low=0, thresholds=((0.025, RED),), runbook="apilatencybudgetburn"),
                Panel("timeseries", "99 % of each route", "Within this time 99 % of the requests were answered.",
                      {"histogram_quantile(0.99, sum by (route, le) "
                       f'(rate({_SECONDS}_bucket{{route=~"$route"}}[{_RATE}])))':
                       "{{route}}"}, unit="s", width=12, low=0),
                Panel("heatmap", "How the times spread", "Single predictions, by how long they took; the darker, the "
                      "more.",
                      {f"sum by (le) ({_SINGLE})": "{{le}}"}, unit="s",
                      width=24),
            ),
        ),
    ),
    {"route": f"label_values({_REQUESTS}, route)"},
    hours=6,
)  # fmt: skip

MONGODB = Board(
    "mongodb",
    "PariVision: MongoDB",
    "The store of installations that share their shots between machines. Others keep them in a DuckDB file, and see "
    "nothing here.",
    (
        Row(
            "Server",
            (
                Panel("stat", "Answers", "Whether the exporter reached it when it last asked.",
                      {'min(parivision_store_up{store="mongodb"})': "MongoDB"}, width=6, words=UP, named=False,
                      runbook="mongodbdown"),
                Panel("stat", "Running for", "Time since the server started.",
                      {"max(parivision_mongodb_uptime_seconds)": "uptime"}, unit="s", width=6, colour=BLUE, decimals=0,
                      named=False),
                Panel("stat", "On disk", "What documents and indexes take.",
                      {'max(parivision_store_size_bytes{store="mongodb"})': "size"}, unit="bytes", width=6, colour=BLUE,
                      named=False),
                Panel("stat", "Connections in use", "Share of the connections that the server allows.",
                      {'sum(parivision_mongodb_connections{state="current"}) / '
                       'sum(parivision_mongodb_connections{state=~"current|available"})': "share"}, unit="percentunit",
                      width=6, thresholds=((0.7, YELLOW), (0.9, RED)), decimals=1, named=False),
            ),
            height=5,
        ),
        Row(
            "Work",
            (
                Panel("timeseries", "Operations", "A second, by type, of everybody who uses the server.",
                      {f"sum by (type) (rate(parivision_mongodb_operations_total[{_RATE}]))": "{{type}}"}, unit="ops",
                      low=0),
                Panel("timeseries", "Connections", "Open ones, and those of them that are at work.",
                      {'sum by (state) (parivision_mongodb_connections{state=~"current|active"})': "{{state}}"}, low=0),
                Panel("timeseries", "Memory", "What the server's process holds.",
                      {"max(parivision_mongodb_memory_resident_bytes)": "resident"}, unit="bytes", low=0),
            ),
        ),
        Row(
            "Content",
            (
                Panel("timeseries", "Documents", "In each collection, as the server estimates.",
                      {"max by (collection) (parivision_store_documents)": "{{collection}}"}, width=12, low=0),
                Panel("timeseries", "Size", "What documents and indexes take on disk.",
                      {'max(parivision_store_size_bytes{store="mongodb"})': "size"}, unit="bytes", width=12, low=0),
            ),
        ),
    ),
)  # fmt: skip

_CORES = 'count by (instance) (node_cpu_seconds_total{mode="idle", instance=~"$instance"})'
HOST = Board(
    "host",
    "PariVision: host",
    "Processor, memory, disk and network of the machines, as node-exporter sees them.",
    (
        Row(
            "Now",
            (
                Panel("stat", "Load per core", "Tasks that run or wait, on average of 15 minutes, for each core. Over "
                      "two, for half an hour, is an alert.",
                      {f'node_load15{{instance=~"$instance"}} / on (instance) group_left () {_CORES}': "{{instance}}"},
                      width=6, thresholds=((1, YELLOW), (2, RED)), decimals=2, runbook="hostloadhigh"),
                Panel("stat", "Memory left", "Share of the memory that programs can still be given.",
                      {'node_memory_MemAvailable_bytes{instance=~"$instance"} / '
                       'node_memory_MemTotal_bytes{instance=~"$instance"}': "{{instance}}"}, unit="percentunit",
                      width=6, colour=RED, thresholds=((0.08, YELLOW), (0.2, GREEN)), decimals=0,
                      runbook="hostmemorylow"),
                Panel("stat", "Disk left", "Share of the fullest disk that is free.",
                      {f"min by (instance) (node_filesystem_avail_bytes{{{_DISKS}}} / "
                       f"node_filesystem_size_bytes{{{_DISKS}}})": "{{instance}}"}, unit="percentunit", width=6,
                      colour=RED, thresholds=((0.05, YELLOW), (0.15, GREEN)), decimals=0, runbook="diskalmostfull"),
                Panel("stat", "Running for", "Time since the machine started.",
                      {'time() - node_boot_time_seconds{instance=~"$instance"}': "{{instance}}"}, unit="s", width=6,
                      colour=BLUE, decimals=0),
            ),
            height=5,
        ),
        Row(
            "Processor and memory",
            (
                Panel("timeseries", "Processor", "Share of the processors' time, by what it went to.",
                      {'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle", instance=~"$instance"}'
                       f'[{_RATE}])) / on () group_left () count(node_cpu_seconds_total{{mode="idle", '
                       'instance=~"$instance"})': "{{mode}}"}, unit="percentunit", low=0, high=1, stacked=True),
                Panel("timeseries", "Load", "Tasks that run or wait, on average of 1, 5 and 15 minutes.",
                      {'node_load1{instance=~"$instance"}': "1 min", 'node_load5{instance=~"$instance"}': "5 min",
                       'node_load15{instance=~"$instance"}': "15 min"}, low=0, runbook="hostloadhigh"),
                Panel("timeseries", "Memory", "What programs can still be given, and what there is.",
                      {'node_memory_MemAvailable_bytes{instance=~"$instance"}': "available",
                       'node_memory_MemTotal_bytes{instance=~"$instance"}': "total"}, unit="bytes", low=0,
                      runbook="hostmemorylow"),
            ),
        ),
        Row(
            "Disk and network",
            (
                Panel("timeseries", "Free space", "Of each disk.",
                      {f"node_filesystem_avail_bytes{{{_DISKS}}}": "{{mountpoint}}"}, unit="bytes", low=0,
                      runbook="diskfillingwithinaday"),
                Panel("timeseries", "Free space in a day", "If it went on as in the last hour; below zero the disk is "
                      "full by then.",
                      {f"predict_linear(node_filesystem_avail_bytes{{{_DISKS}}}[1h], 86400)": "{{mountpoint}}"},
                      unit="bytes", colour=RED, thresholds=((0, GREEN),), runbook="diskfillingwithinaday"),
                Panel("timeseries", "Disk traffic", "Read and written, a second.",
                      {f'sum by (instance) (rate(node_disk_read_bytes_total{{instance=~"$instance"}}[{_RATE}]))':
                       "read",
                       f'sum by (instance) (rate(node_disk_written_bytes_total{{instance=~"$instance"}}[{_RATE}]))':
                       "written"}, unit="Bps", low=0),
                Panel("timeseries", "Network", "Received and sent, a second, without loopback.",
                      {f'sum by (device) (rate(node_network_receive_bytes_total{{device!="lo", instance=~"$instance"}}'
                       f"[{_RATE}]))": "{{device}} received",
                       f'sum by (device) (rate(node_network_transmit_bytes_total{{device!="lo", instance=~"$instance"}}'
                       f"[{_RATE}]))": "{{device}} sent"}, unit="Bps", width=12, low=0),
                Panel("stat", "Metrics of runs", "Whether node-exporter can read the file with the figures of runs.",
                      {'node_textfile_scrape_error{instance=~"$instance"}': "{{instance}}"}, width=12,
                      words={0: ("readable", GREEN), 1: ("unreadable", RED)}, named=False,
                      runbook="runmetricsunreadable"),
            ),
        ),
    ),
    {"instance": "label_values(node_uname_info, instance)"},
)  # fmt: skip

BOARDS = (OPERATIONS, MODELS, API, MONGODB, HOST)
