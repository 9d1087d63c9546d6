/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * kafka_mock [--brokers N] [TOPIC:PARTITIONS ...]: librdkafka's mock cluster, which speaks the real
 * protocol on 127.0.0.1. The first line of output is its bootstrap.servers. Then commands on
 * standard input, one a line, each answered with `ok` or `error: …`:
 *
 *   topic NAME PARTITIONS     makes a topic
 *   down ID | up ID           breaks the connections of a broker and refuses new ones (-1 = all)
 *   rtt ID MS                 delay of its answers
 *   fail API N CODE           its next N requests of that kind (numbers of the protocol) are
 * answered with CODE clear API                 no longer topic-error NAME CODE     requests for
 * that topic are answered with CODE (0 = no longer)
 *
 * It ends with its input.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAIL_MAX 1000

static rd_kafka_mock_cluster_t *cluster;

static const char *fail_requests(int api, int count, int code)
{
    rd_kafka_resp_err_t errors[FAIL_MAX];

    if (count < 1 || count > FAIL_MAX)
        return "N must be 1..1000";
    for (int i = 0; i < count; i++)
        errors[i] = (rd_kafka_resp_err_t)code;
    rd_kafka_mock_push_request_errors_array(cluster, (int16_t)api, (size_t)count, errors);
    return NULL;
}

static const char *result(rd_kafka_resp_err_t err)
{
    return err ? rd_kafka_err2str(err) : NULL;
}

/* NULL, or what was wrong. */
static const char *obey(const char *line)
{
    char name[128];
    int a, b, c;

    if (sscanf(line, "topic %127s %d", name, &a) == 2)
        return result(rd_kafka_mock_topic_create(cluster, name, a, 1));
    if (sscanf(line, "down %d", &a) == 1)
        return result(rd_kafka_mock_broker_set_down(cluster, a));
    if (sscanf(line, "up %d", &a) == 1)
        return result(rd_kafka_mock_broker_set_up(cluster, a));
    if (sscanf(line, "rtt %d %d", &a, &b) == 2)
        return result(rd_kafka_mock_broker_set_rtt(cluster, a, b));
    if (sscanf(line, "fail %d %d %d", &a, &b, &c) == 3)
        return fail_requests(a, b, c);
    if (sscanf(line, "clear %d", &a) == 1) {
        rd_kafka_mock_clear_request_errors(cluster, (int16_t)a);
        return NULL;
    }
    if (sscanf(line, "topic-error %127s %d", name, &a) == 2) {
        rd_kafka_mock_topic_set_error(cluster, name, (rd_kafka_resp_err_t)a);
        return NULL;
    }
    return "no such command";
}

static bool make_topic(const char *word)
{
    char name[128];
    int partitions;

    if (sscanf(word, "%127[^:]:%d", name, &partitions) != 2 || partitions < 1 || partitions > 1000)
        return false;
    return rd_kafka_mock_topic_create(cluster, name, partitions, 1) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_t *make_cluster(int brokers)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk;

    /* what the cluster works with; nothing is produced by it. As brokers do: no waiting for
     * acknowledged segments */
    rd_kafka_conf_set(conf, "socket.nagle.disable", "true", why, sizeof(why));
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (!rk) {
        fprintf(stderr, "kafka_mock: %s\n", why);
        exit(1);
    }
    cluster = rd_kafka_mock_cluster_new(rk, brokers);
    if (!cluster) {
        fprintf(stderr, "kafka_mock: no mock cluster\n");
        exit(1);
    }
    return rk;
}

int main(int argc, char **argv)
{
    int brokers = argc > 2 && !strcmp(argv[1], "--brokers") ? atoi(argv[2]) : 1;
    rd_kafka_t *rk = make_cluster(brokers > 0 ? brokers : 1);
    char line[256];

    for (int i = argc > 2 && !strcmp(argv[1], "--brokers") ? 3 : 1; i < argc; i++) {
        if (!make_topic(argv[i])) {
            fprintf(stderr, "kafka_mock: %s: not TOPIC:PARTITIONS\n", argv[i]);
            return 2;
        }
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        const char *problem = obey(line);

        problem ? printf("error: %s\n", problem) : printf("ok\n");
        fflush(stdout);
    }
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(rk);
    return 0;
}
