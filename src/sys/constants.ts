// These values are the same on x64 and arm64.

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
/** Flags for socket(2), accept4(2) and pipe2(2). */
export const NONBLOCK_CLOEXEC: number = 0o4000 | 0o2000000;

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_LINGER = 13;
export const SO_BINDTODEVICE = 25;

export const IPPROTO_IP = 0;
export const IP_PKTINFO = 8;
export const IP_PKTOPTIONS = 9;
export const IP_RECVERR = 11;
export const IP_BIND_ADDRESS_NO_PORT = 24;

export const IPPROTO_TCP = 6;
export const TCP_NODELAY = 1;
export const TCP_KEEPIDLE = 4;
export const TCP_INFO = 11;

export const IPPROTO_IPV6 = 41;
export const IPV6_2292PKTOPTIONS = 6;
export const IPV6_RECVERR = 25;
export const IPV6_V6ONLY = 26;
export const IPV6_RECVPKTINFO = 49;

export const MSG_OOB = 0x1;
export const MSG_DONTWAIT = 0x40;
export const MSG_MORE = 0x8000;
export const MSG_ERRQUEUE = 0x2000;

export const SHUT_WR = 1;

export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLHUP = 0x10;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE: number = 1 << 28;
export const EPOLLET: number = 1 << 31;

export const O_NONBLOCK = 0o4000;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_SETPIPE_SZ = 1031;
export const SPLICE_F_MOVE_NONBLOCK = 3;
