//===- Fakes.h - A model of bytes -------------------------------*- C++ -*-===//
#pragma once

#include "runtime/serve/HttpServer.h"
#include "runtime/serve/Service.h"

#include <atomic>
#include <chrono>
#include <thread>

namespace mbc::serve {

/// Tokens are bytes; 0 ends a text. The text of a conversation is that of its
/// last message, behind the files of its pictures.
class FakeText final : public TextModel {
public:
  Expected<std::vector<int32_t>> encode(std::string_view text) const override {
    if (text.empty())
      return inputError("the text is empty");
    std::vector<int32_t> ids;
    for (char byte : text)
      ids.push_back(static_cast<unsigned char>(byte));
    return ids;
  }
  Expected<generate::EncodedPrompt>
  encodeChat(const Json &messages, const Json &variables,
             std::span<const std::string> pictures) const override {
    if (variables.find("refuse"))
      return inputError("the template refuses this");
    std::string text;
    for (const std::string &picture : pictures)
      text += picture;
    const Json &content = *messages.elements().back().find("content");
    text += content.isString() ? *content.asString() : content.dumpCompact();
    generate::EncodedPrompt result;
    MBC_ASSIGN(result.tokens, encode(text));
    return result;
  }
  std::string decode(std::span<const int32_t> ids) const override {
    std::string text;
    for (int32_t id : ids)
      text += tokenText(id);
    return text;
  }
  std::string tokenText(int32_t id) const override {
    return id < 128 ? std::string(1, static_cast<char>(id)) : "\xef\xbf\xbd";
  }
};

/// Whole characters of bytes.
class FakeTokenText final : public generate::TokenText {
public:
  std::string push(int32_t id) override {
    held += static_cast<char>(id);
    auto first = static_cast<unsigned char>(held[0]);
    size_t count = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    return held.size() < count ? "" : std::exchange(held, {});
  }
  std::string finish() override { return std::exchange(held, {}); }

private:
  std::string held;
};

/// Repeats its prompt, for ever: the token of step i is the prompt's byte i.
class FakeExecutor final : public generate::Executor {
public:
  int64_t rows() const override { return 64; }
  int64_t sequences() const override { return 4; }
  int64_t slots() const override { return 4 * length(); }
  int64_t length() const override { return 200; }
  int64_t vocabulary() const override { return 256; }

  Expected<std::vector<generate::Continuation>>
  step(std::span<const generate::Part> parts) override {
    ++steps;
    std::this_thread::sleep_for(std::chrono::microseconds(delay.load()));
    if (broken.exchange(false))
      return systemError("the machine is broken");
    std::vector<generate::Continuation> choices;
    for (const generate::Part &part : parts)
      if (part.choice.sampling) {
        generate::Choice choice;
        choice.token = {part.choice.text[part.choice.step], -0.25f};
        for (int32_t i = 0; i < part.choice.logprobs; ++i)
          choice.top.push_back({'a' + i, -0.25f * static_cast<float>(i + 1)});
        choices.push_back({{std::move(choice)}, {}});
      }
    return choices;
  }

  std::atomic<int64_t> delay = 0, steps = 0;
  std::atomic<bool> broken = false;
};

/// All of a server, on a free port.
class FakeServer {
public:
  explicit FakeServer(ServiceOptions options = {.queue = 2},
                      HttpOptions http = {}) {
    config.eosTokens = {0};
    http.port = 0;
    auto listening = HttpServer::listen(
        http, [this](const auto &exchange) { service->handle(exchange); },
        [this](const HttpRecord &record) {
          std::scoped_lock lock(mutex);
          records.push_back(record);
        });
    server = std::move(*listening);
    service = std::make_unique<Service>(ServedModel{"fake/model", engine, text,
                                                    config, executor.length(),
                                                    executor.sequences()},
                                        std::move(options));
    serving = std::thread([this] { server->run(); });
  }
  ~FakeServer() {
    stop(std::chrono::seconds(0));
    serving.join();
    engineStop.request_stop();
    stepping.join();
  }

  void stop(std::chrono::milliseconds grace) {
    service->stop();
    server->stop(grace, [this] { engineStop.request_stop(); });
  }
  uint16_t port() const { return server->port(); }
  std::vector<HttpRecord> log() {
    std::scoped_lock lock(mutex);
    return records;
  }
  /// Whether the engine has nothing to do, after two seconds at most.
  bool becomesIdle() {
    for (int i = 0; i < 400 && engine.pending(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return engine.pending() == 0;
  }

  FakeExecutor executor;
  generate::Engine engine{
      executor, {.text = [] { return std::make_unique<FakeTokenText>(); }}};

private:
  FakeText text;
  generate::GenerationConfig config;
  std::mutex mutex;
  std::vector<HttpRecord> records;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<Service> service;
  std::stop_source engineStop;
  std::thread stepping{[this] { engine.run(engineStop.get_token()); }}, serving;
};

} // namespace mbc::serve
