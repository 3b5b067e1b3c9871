//===- Client.h - A socket that speaks to a server --------------*- C++ -*-===//
#pragma once

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace mbc::serve {

struct Answer {
  unsigned status = 0; ///< 0: there was none
  std::string head, body;
};

/// One connection to 127.0.0.1. Nothing waits longer than five seconds.
class Client {
public:
  explicit Client(uint16_t port) : fd(::socket(AF_INET, SOCK_STREAM, 0)) {
    timeval limit{5, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected =
        ::connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to) == 0;
  }
  ~Client() { close(); }
  Client(const Client &) = delete;
  Client &operator=(const Client &) = delete;

  void close() {
    if (fd >= 0)
      ::close(fd);
    fd = -1;
  }
  bool send(std::string_view text) {
    while (!text.empty()) {
      ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return false;
      text.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  bool post(std::string_view path, std::string_view body,
            std::string_view more = {}) {
    return send(fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: "
                            "application/json\r\nContent-Length: {}\r\n{}\r\n"
                            "{}",
                            path, body.size(), more, body));
  }
  bool get(std::string_view path, std::string_view method = "GET",
           std::string_view more = {}) {
    return send(
        fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n{}\r\n", method, path, more));
  }
  /// Until `text` has come; false at the end.
  bool readUntil(std::string_view text) {
    while (received.find(text) == std::string::npos)
      if (!more())
        return false;
    return true;
  }
  /// A whole answer, chunks put together.
  Answer read(bool bodyless = false) {
    Answer answer;
    if (!readUntil("\r\n\r\n"))
      return answer;
    size_t end = received.find("\r\n\r\n") + 4;
    answer.head = received.substr(0, end);
    received.erase(0, end);
    answer.status = static_cast<unsigned>(std::stoul(answer.head.substr(9, 3)));
    if (answer.head.find("chunked") != std::string::npos) {
      while (readUntil("\r\n")) {
        size_t size = std::stoul(received, nullptr, 16);
        size_t skip = received.find("\r\n") + 2;
        while (received.size() < skip + size + 2 && more()) {
        }
        answer.body += received.substr(skip, size);
        received.erase(0, skip + size + 2);
        if (size == 0)
          break;
      }
    } else if (size_t at = answer.head.find("Content-Length: ");
               at != std::string::npos && !bodyless) {
      size_t size = std::stoul(answer.head.substr(at + 16));
      while (received.size() < size && more()) {
      }
      answer.body = received.substr(0, size);
      received.erase(0, size);
    } else if (!bodyless) {
      while (more()) {
      }
      answer.body = std::move(received);
    }
    return answer;
  }
  /// Whether the server has ended the connection.
  bool isEnded() {
    while (more()) {
    }
    return ended;
  }

  bool connected = false;

private:
  bool more() {
    char bytes[4096];
    ssize_t count = ::recv(fd, bytes, sizeof bytes, 0);
    ended |= count == 0 || (count < 0 && errno == ECONNRESET);
    if (count <= 0)
      return false;
    received.append(bytes, static_cast<size_t>(count));
    return true;
  }

  int fd;
  bool ended = false;
  std::string received;
};

} // namespace mbc::serve
