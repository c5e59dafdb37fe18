/* A load generator for SOCKS5 proxies and the target behind them; docs/performance.md says what it measures. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum mode { BULK, RATE, RTT, IDLE, UDP };

struct options {
  enum mode mode;
  uint16_t proxy;    /* its port on 127.0.0.1; 0 = none, straight to the target */
  pid_t session;     /* the proxy's processes are those of this session; 0 = none */
  long connections;  /* at the same time */
  long from;         /* idle: memory is compared between this many connections and `connections` */
  double warm_up;    /* seconds that are not measured */
  double seconds;    /* that are */
  double rest;       /* idle: seconds between the last byte and the look at the memory */
  bool zero_copy;    /* bulk: sendfile and MSG_TRUNC at the ends instead of write and read */
};

/* tcp.c, udp.c: run the case and print its result, one JSON object. */
void run_tcp(const struct options *options);
void run_udp(const struct options *options);

/* proc.c */
double now(void); /* seconds */
struct moment {
  double at;  /* seconds */
  double cpu; /* seconds that the proxy has used, user and system */
} moment(pid_t session);
struct memory {
  long bytes; /* of one process its resident set, of several the sum of their proportional shares (PSS) */
  long processes;
} memory(pid_t session);

/* socks.c */
extern const uint8_t GREETING[3];
enum { METHOD_SIZE = 2, REQUEST_SIZE = 10, REPLY_SIZE = 10, UDP_HEADER_SIZE = 10, CONNECT = 1, ASSOCIATE = 3 };
void encode_request(uint8_t *bytes, uint8_t command, uint16_t port);
void encode_udp_header(uint8_t *bytes, uint16_t port);
/* End the program unless the proxy agrees. */
void check_method(const uint8_t *bytes);
void check_reply(const uint8_t *bytes);

/* load.c */
struct sockaddr_in;
struct sockaddr_in loopback(uint16_t port);
uint16_t local_port(int descriptor);
/* The result of a system call that must not fail. */
long must(const char *what, long result);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
