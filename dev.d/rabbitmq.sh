# A private RabbitMQ node with an epmd of its own, loopback only, no plugins.

rabbitmq_server=/usr/lib/rabbitmq/bin/rabbitmq-server

rabbitmq_answers() { is_running rabbitmq && port_answers "$amqp_port"; }
epmd_answers() { is_running epmd && port_answers "$epmd_port"; }

rabbitmq_start() {
  local started home="$state_dir/rabbitmq" service
  started=$(now)
  if rabbitmq_answers && epmd_answers; then
    step rabbitmq "up on 127.0.0.1:$amqp_port" "$started"
    return 0
  fi
  service_directory rabbitmq "$home"
  as_service rabbitmq "$home"

  if ! epmd_answers; then
    # A node whose epmd died keeps serving AMQP but can no longer be found by rabbitmqctl: both start afresh.
    end_process rabbitmq TERM 30
    end_process epmd
    port_ensure_free epmd "$epmd_port"
    launch epmd "${service[@]}" epmd -address 127.0.0.1 -port "$epmd_port"
    wait_ready epmd 5 epmd_answers || fail_with_log epmd "it does not answer on 127.0.0.1:$epmd_port" "./dev down, then again"
  fi

  end_process rabbitmq TERM 30
  port_ensure_free rabbitmq "$amqp_port"
  rabbitmq_cookie "$home"
  rabbitmq_environment "$home"
  launch rabbitmq "${service[@]}" "${rabbitmq_environment[@]}" "$rabbitmq_server"
  wait_ready rabbitmq 60 rabbitmq_answers ||
    fail_with_log rabbitmq "it does not answer on 127.0.0.1:$amqp_port" "read the lines above; ./dev reset starts with a new node"
  step rabbitmq "started on 127.0.0.1:$amqp_port" "$started"
}

rabbitmq_cookie() {
  # An empty cookie is left by a run that was killed in between.
  [[ -s $1/.erlang.cookie ]] && return 0
  rm -f "$1/.erlang.cookie"
  (umask 077 && head -c 18 /dev/urandom | base64 | tr -d '/+=' >"$1/.erlang.cookie")
  chmod 0400 "$1/.erlang.cookie"
  if ((EUID == 0)); then chown rabbitmq: "$1/.erlang.cookie"; fi
}

# Sets `rabbitmq_environment`: all that the node is told. Without these paths it would read the files of the machine's own node under
# /etc; where they point there is nothing. The Debian wrapper in /usr/sbin would drop all of it, hence the script under /usr/lib.
# ALLOW_INPUT: the script then becomes the Erlang VM instead of waiting for it, so that the recorded pid is the node's.
# +S 2:2: no more schedulers than two on a big machine; +sbwt none: idle ones do not spin.
rabbitmq_environment() {
  rabbitmq_environment=(
    "RABBITMQ_NODENAME=skep-$instance_id@localhost"
    "RABBITMQ_MNESIA_BASE=$1/mnesia"
    "RABBITMQ_LOG_BASE=$1/log"
    "RABBITMQ_PID_FILE=$1/pid"
    "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1"
    "RABBITMQ_NODE_PORT=$amqp_port"
    "RABBITMQ_LOGS=-"
    "RABBITMQ_LOG=-color"
    "RABBITMQ_CONFIG_FILE=$1/none"
    "RABBITMQ_CONF_ENV_FILE=$1/none"
    "RABBITMQ_ADVANCED_CONFIG_FILE=$1/none"
    "RABBITMQ_ENABLED_PLUGINS_FILE=$1/none"
    "RABBITMQ_DIST_PORT=$erlang_port"
    "RABBITMQ_ALLOW_INPUT=1"
    "ERL_EPMD_ADDRESS=127.0.0.1"
    "ERL_EPMD_PORT=$epmd_port"
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -noinput"
  )
}

rabbitmq_stop() {
  end_process rabbitmq TERM 30
  end_process epmd
}
