#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  COPY = 64 << 10,     /* bytes per write and read */
  FILE_SIZE = 1 << 20, /* of the memfd, sent repeatedly */
  MESSAGE = 64,        /* bytes of a round trip */
  OPENING = 64,        /* concurrent connections being established */
  OPEN_SECONDS = 30,   /* until all connections must be open */
  BACKLOG = 4096,
  EVENTS = 256,
  SAMPLES = 4 << 20,   /* maximum number of round trips */
};

enum state { UNUSED, LISTENER, CONNECTING, METHOD, REPLY, OPEN, TARGET };

struct connection {
  enum state state;
  unsigned got; /* bytes of `message` */
  uint8_t message[MESSAGE];
  double asked; /* when the last message was sent */
  off_t offset; /* in the memfd */
};

static struct options options;
static struct connection *connections; /* by descriptor */
static int poller;
static int file; /* the memfd */
static uint16_t target;
static uint8_t buffer[FILE_SIZE];

static long wanted;       /* target number of connections */
static long started;      /* open or being established */
static long ready;        /* open; for `idle`, those that have carried a message each way */
static long done;         /* bytes (bulk), connections (rate) or round trips (rtt) */
static uint32_t *samples; /* per round trip, in nanoseconds */

static void watch(int descriptor, int operation, uint32_t events) {
  struct epoll_event event = {.events = events, .data = {.fd = descriptor}};
  must("epoll_ctl", epoll_ctl(poller, operation, descriptor, &event));
}

static void drop(int descriptor) {
  connections[descriptor].state = UNUSED;
  close(descriptor);
}

static void send_all(int descriptor, const void *bytes, size_t size) {
  ssize_t sent = send(descriptor, bytes, size, 0);
  /* Other errors are returned by the next read. */
  if (sent < 0 ? errno == EAGAIN : (size_t)sent < size) die("a socket takes no %zu bytes", size);
}

/* The client side. */

static void start_client(void) {
  struct sockaddr_in address = loopback(options.proxy != 0 ? options.proxy : target);
  int client = (int)must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  int yes = 1;
  must("TCP_NODELAY", setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
  if (connect(client, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
    die("connect: %s", strerror(errno));
  }
  connections[client] = (struct connection){.state = CONNECTING};
  watch(client, EPOLL_CTL_ADD, EPOLLOUT);
  started++;
}

/* There are no results for a proxy that loses connections. */
static void check_end(ssize_t count) {
  if (count == 0) die("a connection was closed too early");
  if (count < 0 && errno != EAGAIN) die("a connection failed: %s", strerror(errno));
}

static void ask(int client) {
  static const uint8_t PING[MESSAGE] = "ping";
  connections[client].asked = now();
  send_all(client, PING, MESSAGE);
}

static void client_open(int client) {
  connections[client].state = OPEN;
  if (options.mode != IDLE) ready++;
  if (options.mode == RTT || options.mode == IDLE) ask(client);
}

/* True once a whole message has arrived. */
static bool receive(int client, unsigned size) {
  struct connection *connection = &connections[client];
  ssize_t count = recv(client, connection->message + connection->got, size - connection->got, 0);
  check_end(count);
  if (count > 0) connection->got += (unsigned)count;
  if (connection->got < size) return false;
  connection->got = 0;
  return true;
}

static void receive_bulk(int client) {
  size_t most = options.zero_copy ? sizeof buffer : COPY;
  ssize_t count = recv(client, buffer, most, options.zero_copy ? MSG_TRUNC : 0);
  check_end(count);
  if (count > 0) done += count;
}

/* Expects one byte, then the end. */
static void receive_rate(int client) {
  uint8_t bytes[2];
  ssize_t count = recv(client, bytes, sizeof bytes, 0);
  if (count == 0 && connections[client].got == 1) {
    drop(client);
    started--;
    ready--;
    done++;
  } else {
    check_end(count);
    if (count > 0) connections[client].got += (unsigned)count;
  }
}

static void receive_rtt(int client) {
  if (!receive(client, MESSAGE)) return;
  if (done < SAMPLES) samples[done++] = (uint32_t)((now() - connections[client].asked) * 1e9);
  ask(client);
}

static void client_event(int client) {
  struct connection *connection = &connections[client];
  uint8_t request[REQUEST_SIZE];
  int error = 0;
  socklen_t size = sizeof error;
  switch (connection->state) {
    case CONNECTING:
      must("getsockopt", getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size));
      if (error != 0) die("connect: %s", strerror(error));
      watch(client, EPOLL_CTL_MOD, EPOLLIN);
      if (options.proxy == 0) {
        client_open(client);
      } else {
        connection->state = METHOD;
        send_all(client, GREETING, sizeof GREETING);
      }
      break;
    case METHOD:
      if (!receive(client, METHOD_SIZE)) break;
      check_method(connection->message);
      connection->state = REPLY;
      encode_request(request, CONNECT, target);
      send_all(client, request, sizeof request);
      break;
    case REPLY:
      if (!receive(client, REPLY_SIZE)) break;
      check_reply(connection->message);
      client_open(client);
      break;
    default:
      if (options.mode == BULK) receive_bulk(client);
      if (options.mode == RATE) receive_rate(client);
      if (options.mode == RTT) receive_rtt(client);
      if (options.mode == IDLE && receive(client, MESSAGE)) ready++;
  }
}

/* The target side: it sends endlessly (bulk), sends one byte and closes (rate), or echoes (rtt, idle). */

static void accept_all(int listener) {
  for (;;) {
    int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0 && (errno == EAGAIN || errno == ECONNABORTED)) return;
    must("accept", peer);
    if (options.mode == RATE) {
      send_all(peer, "!", 1);
      close(peer);
      continue;
    }
    connections[peer] = (struct connection){.state = TARGET};
    watch(peer, EPOLL_CTL_ADD, options.mode == BULK ? EPOLLOUT : EPOLLIN);
  }
}

static ssize_t send_bulk(int peer) {
  if (!options.zero_copy) return send(peer, buffer, COPY, 0);
  off_t *offset = &connections[peer].offset;
  if (*offset == FILE_SIZE) *offset = 0;
  return sendfile(peer, file, offset, (size_t)(FILE_SIZE - *offset));
}

static ssize_t echo(int peer) {
  uint8_t message[MESSAGE];
  ssize_t count = recv(peer, message, sizeof message, 0);
  if (count > 0) send_all(peer, message, (size_t)count);
  return count;
}

static void target_event(int peer) {
  ssize_t count = options.mode == BULK ? send_bulk(peer) : echo(peer);
  if (count == 0 || (count < 0 && errno != EAGAIN)) drop(peer);
}

/* Runs until a time, or until a counter has reached its goal. */
static void run(double until, const long *counter, long goal) {
  struct epoll_event events[EVENTS];
  for (double left; *counter < goal && (left = until - now()) > 0;) {
    while (started < wanted && started - ready < OPENING) start_client();
    int happened = epoll_wait(poller, events, EVENTS, left < 0.1 ? (int)(left * 1000) + 1 : 100);
    if (happened < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < happened; i++) {
      int descriptor = events[i].data.fd;
      switch (connections[descriptor].state) {
        case UNUSED: break;
        case LISTENER: accept_all(descriptor); break;
        case TARGET: target_event(descriptor); break;
        default: client_event(descriptor);
      }
    }
  }
}

static void open_connections(long count) {
  wanted = count;
  run(now() + OPEN_SECONDS, &ready, count);
  if (ready < count) die("%ld of %ld connections were open after %d seconds", ready, count, OPEN_SECONDS);
}

static int ascending(const void *a, const void *b) {
  uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
  return (left > right) - (left < right);
}

static double percentile(double share) { return samples[(long)((double)(done - 1) * share)] / 1e3; }

static void measure(void) {
  if (options.mode == RATE) {
    wanted = options.connections;
  } else {
    open_connections(options.connections);
  }
  run(now() + options.warm_up, &done, LONG_MAX);
  done = 0;
  struct moment begin = moment(options.session);
  run(begin.at + options.seconds, &done, options.mode == RTT ? SAMPLES : LONG_MAX);
  struct moment end = moment(options.session);
  if (done == 0) die("nothing came through in %g seconds", options.seconds);
  printf("{\"seconds\":%.6f,\"cpu\":%.2f,\"count\":%ld", end.at - begin.at, end.cpu - begin.cpu, done);
  if (options.mode == RTT) {
    qsort(samples, (size_t)done, sizeof *samples, ascending);
    printf(",\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f", percentile(0.5), percentile(0.99), percentile(1));
  }
  puts("}");
}

static void measure_memory(void) {
  run(now() + options.rest, &done, LONG_MAX);
  struct memory base = memory(options.session);
  open_connections(options.from);
  run(now() + options.rest, &done, LONG_MAX);
  struct memory low = memory(options.session);
  open_connections(options.connections);
  run(now() + options.rest, &done, LONG_MAX);
  struct memory high = memory(options.session);
  printf("{\"base\":%ld,\"low\":%ld,\"high\":%ld,\"connections\":%ld,\"processes\":%ld}\n", base.bytes, low.bytes,
         high.bytes, options.connections - options.from, high.processes);
}

static int listen_as_target(void) {
  struct sockaddr_in address = loopback(0);
  int listener = (int)must("socket", socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  must("bind", bind(listener, (struct sockaddr *)&address, sizeof address));
  must("listen", listen(listener, BACKLOG));
  int yes = 1; /* inherited by accepted sockets */
  must("TCP_NODELAY", setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes));
  return listener;
}

void run_tcp(const struct options *given) {
  options = *given;
  struct rlimit limit;
  must("getrlimit", getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = limit.rlim_max;
  must("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
  connections = calloc(limit.rlim_cur, sizeof *connections);
  samples = calloc(SAMPLES, sizeof *samples);
  if (connections == NULL || samples == NULL) die("out of memory");
  file = (int)must("memfd_create", memfd_create("bulk", MFD_CLOEXEC));
  if (must("write", write(file, buffer, sizeof buffer)) != sizeof buffer) die("the memfd is short");
  int listener = listen_as_target();
  target = local_port(listener);
  /*
   * For round trips, switching between processes is part of the measurement. Otherwise a single process makes
   * the best use of its core.
   */
  bool apart = options.mode == RTT;
  bool is_target = apart && must("fork", fork()) == 0;
  poller = (int)must("epoll_create1", epoll_create1(EPOLL_CLOEXEC));
  if (is_target || !apart) {
    connections[listener].state = LISTENER;
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
  }
  if (is_target) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run(now() + OPEN_SECONDS + options.warm_up + options.seconds, &done, LONG_MAX);
  } else if (options.mode == IDLE) {
    measure_memory();
  } else {
    measure();
  }
}
