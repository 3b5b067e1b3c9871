//===- Exchange.cpp -------------------------------------------------------===//
#include "runtime/serve/Exchange.h"

namespace mbc::serve {

HttpResponse toResponse(const ApiError &error) {
  HttpResponse response;
  response.status = error.status;
  // A second is about what a text takes.
  if (error.status == 429 || error.status == 503)
    response.headers.emplace_back("Retry-After", "1");
  if (error.status == 401)
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
  response.body = error.body().dumpCompact() + "\n";
  return response;
}

Exchange::Exchange(HttpRequest request) : asked(std::move(request)) {}

/// Changes what is ready, and tells the connection, which takes all of it.
template <typename Fn> void Exchange::change(Fn &&fn) {
  std::scoped_lock lock(mutex);
  if (over || gone)
    return;
  fn();
  if (wake)
    wake();
}

void Exchange::respond(HttpResponse response) {
  change([&] {
    if (begun)
      return;
    ready.head = std::move(response);
    ready.whole = true;
    begun = over = ready.finished = true;
  });
}

void Exchange::respond(const ApiError &error) { respond(toResponse(error)); }

void Exchange::begin(HttpResponse response) {
  change([&] {
    ready.head = std::move(response);
    begun = true;
  });
}

void Exchange::write(std::string_view part) {
  change([&] { ready.parts += part; });
}

void Exchange::finish() {
  change([&] { over = ready.finished = true; });
}

void Exchange::onGone(std::function<void()> tell) {
  {
    std::scoped_lock lock(mutex);
    if (!gone) {
      tellGone = std::move(tell);
      return;
    }
  }
  tell();
}

void Exchange::note(std::string remark) {
  std::scoped_lock lock(mutex);
  text = std::move(remark);
}

std::string Exchange::remark() const {
  std::scoped_lock lock(mutex);
  return text;
}

Exchange::Ready Exchange::take() {
  std::scoped_lock lock(mutex);
  Ready result = std::move(ready);
  ready = {};
  ready.finished = result.finished;
  return result;
}

void Exchange::setWake(std::function<void()> call) {
  std::scoped_lock lock(mutex);
  wake = std::move(call);
}

void Exchange::close(bool early) {
  std::function<void()> tell;
  {
    std::scoped_lock lock(mutex);
    gone = true;
    ready = {};
    wake = nullptr;
    tell = std::exchange(tellGone, nullptr);
  }
  if (early && tell)
    tell();
}

} // namespace mbc::serve
