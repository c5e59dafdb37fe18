/*
 * A load generator for SOCKS5 proxies, and the target behind them; docs/performance.md describes what it
 * measures.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mode { BULK, RATE, RTT, IDLE, UDP };

struct options {
  enum mode mode;
  uint16_t proxy;    /* port on 127.0.0.1; 0 = none, connect to the target directly */
  pid_t session;     /* session of the proxy's processes; 0 = none */
  long connections;  /* concurrent connections */
  long from;         /* idle: memory is compared between this number of connections and `connections` */
  double warm_up;    /* seconds before the measurement */
  double seconds;    /* seconds of measurement */
  double rest;       /* idle: seconds between the last byte and measuring memory */
  bool zero_copy;    /* bulk: uses sendfile and MSG_TRUNC at the ends instead of write and read */
};

/* tcp.c, udp.c: run the case and print its result, one JSON object. */
void run_tcp(const struct options *options);
void run_udp(const struct options *options);

/* proc.c */
double now(void); /* seconds */
struct moment {
  double at;  /* seconds */
  double cpu; /* CPU seconds used by the proxy, user and system */
} moment(pid_t session);
struct memory {
  long bytes; /* resident set; of several processes, the sum of their proportional sets (PSS) */
  long processes;
} memory(pid_t session);

/* socks.c */
extern const uint8_t GREETING[3];
enum { METHOD_SIZE = 2, REQUEST_SIZE = 10, REPLY_SIZE = 10, UDP_HEADER_SIZE = 10, CONNECT = 1, ASSOCIATE = 3 };
void encode_request(uint8_t *bytes, uint8_t command, uint16_t port);
void encode_udp_header(uint8_t *bytes, uint16_t port);
/* Exit unless the proxy accepts. */
void check_method(const uint8_t *bytes);
void check_reply(const uint8_t *bytes);

/* load.c */
struct sockaddr_in;
struct sockaddr_in loopback(uint16_t port);
uint16_t local_port(int descriptor);
/* Returns the result of a system call; exits if it failed. */
long must(const char *what, long result);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
