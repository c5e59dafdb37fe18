#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
  PAYLOAD = 64,
  BATCH = 64,             /* datagrams per system call */
  FLIGHT = 256,           /* maximum in flight; Linux's default receive buffer holds this many without loss */
  RECEIVE_BUFFER = 4 << 20,
  OPEN_SECONDS = 5,
};
static const double LOST_AFTER = 0.05; /* seconds without a datagram */

static uint8_t datagram[UDP_HEADER_SIZE + PAYLOAD];
static struct iovec out, in[BATCH];
static struct mmsghdr sends[BATCH], receives[BATCH];

static void receive_exactly(int control, uint8_t *bytes, size_t size) {
  if (must("recv", recv(control, bytes, size, MSG_WAITALL)) != (ssize_t)size) die("the proxy closed in the handshake");
}

/* Returns the relay port of an association; its TCP connection stays open. */
static uint16_t associate(uint16_t proxy, uint16_t client) {
  struct sockaddr_in address = loopback(proxy);
  uint8_t request[REQUEST_SIZE], method[METHOD_SIZE], reply[REPLY_SIZE];
  int control = (int)must("socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct timeval patience = {.tv_sec = OPEN_SECONDS};
  must("SO_RCVTIMEO", setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
  must("connect", connect(control, (struct sockaddr *)&address, sizeof address));
  must("send", send(control, GREETING, sizeof GREETING, 0));
  receive_exactly(control, method, sizeof method);
  check_method(method);
  encode_request(request, ASSOCIATE, client);
  must("send", send(control, request, sizeof request, 0));
  receive_exactly(control, reply, sizeof reply);
  check_reply(reply);
  return (uint16_t)(reply[8] << 8 | reply[9]);
}

static int bound_socket(void) {
  struct sockaddr_in address = loopback(0);
  int descriptor = (int)must("socket", socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  must("bind", bind(descriptor, (struct sockaddr *)&address, sizeof address));
  return descriptor;
}

static long send_some(int client, long count) {
  int sent = sendmmsg(client, sends, count < BATCH ? (unsigned)count : BATCH, 0);
  if (sent < 0 && errno != EAGAIN && errno != ENOBUFS) die("sendmmsg: %s", strerror(errno));
  return sent < 0 ? 0 : sent;
}

static long receive_some(int target) {
  int received = recvmmsg(target, receives, BATCH, 0, NULL);
  if (received < 0 && errno != EAGAIN) die("recvmmsg: %s", strerror(errno));
  for (int i = 0; i < received; i++) {
    if (receives[i].msg_len != PAYLOAD) die("a datagram of %u bytes arrived", receives[i].msg_len);
  }
  return received < 0 ? 0 : received;
}

/* Keeps FLIGHT datagrams in flight until `until`; those that do not arrive are counted as lost. */
static long run(int client, int target, double until, long *lost) {
  long flight = 0, received = 0;
  double last = now();
  for (double time; (time = now()) < until;) {
    if (flight < FLIGHT) flight += send_some(client, FLIGHT - flight);
    long count = receive_some(target);
    received += count;
    flight -= count;
    if (count > 0) last = time;
    if (time - last > LOST_AFTER) {
      *lost += flight;
      flight = 0;
      last = time;
    }
    if (flight < 0) flight = 0; /* counted as lost too early */
  }
  return received;
}

static void prepare(struct sockaddr_in *to, size_t header) {
  static uint8_t arrived[BATCH][PAYLOAD + 1];
  out = (struct iovec){.iov_base = datagram, .iov_len = header + PAYLOAD};
  for (int i = 0; i < BATCH; i++) {
    sends[i].msg_hdr = (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &out, .msg_iovlen = 1};
    in[i] = (struct iovec){.iov_base = arrived[i], .iov_len = sizeof arrived[i]};
    receives[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
  }
}

void run_udp(const struct options *options) {
  int client = bound_socket(), target = bound_socket(), size = RECEIVE_BUFFER;
  must("SO_RCVBUF", setsockopt(target, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  struct sockaddr_in to = loopback(local_port(target));
  if (options->proxy != 0) {
    encode_udp_header(datagram, local_port(target));
    to = loopback(associate(options->proxy, local_port(client)));
  }
  prepare(&to, options->proxy != 0 ? UDP_HEADER_SIZE : 0);

  long lost = 0;
  run(client, target, now() + options->warm_up, &lost);
  lost = 0;
  struct moment begin = moment(options->session);
  long received = run(client, target, begin.at + options->seconds, &lost);
  struct moment end = moment(options->session);
  if (received == 0) die("nothing came through in %g seconds", options->seconds);
  printf("{\"seconds\":%.6f,\"cpu\":%.2f,\"count\":%ld,\"lost\":%ld}\n", end.at - begin.at, end.cpu - begin.cpu,
         received, lost);
}
