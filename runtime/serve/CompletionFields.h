//===- CompletionFields.h - The members of a request ------------*- C++ -*-===//
#pragma once

#include "runtime/serve/ApiError.h"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mbc::serve {

/// Reads the members of an object by name and checks each; those that nobody
/// has asked for are refused at the end. A member that is null is absent.
class CompletionFields {
public:
  explicit CompletionFields(const Json &object) : object(object) {}

  /// Null where it is absent.
  const Json *find(std::string_view name);
  ApiResult<std::optional<bool>> flag(std::string_view name);
  ApiResult<std::optional<int64_t>> whole(std::string_view name, int64_t least,
                                          int64_t most);
  ApiResult<std::optional<double>> number(std::string_view name, double least,
                                          double most);
  ApiResult<std::optional<std::string>> text(std::string_view name);
  /// Token ids: whole numbers from 0 on.
  ApiResult<std::vector<int32_t>> tokens(std::string_view name);

  /// For members that change nothing of the text.
  void ignore(std::initializer_list<std::string_view> names);
  /// Refuses a member that is there with a value other than `neutral`.
  ApiResult<void> refuse(std::string_view name,
                         std::initializer_list<Json> neutral);
  /// Refuses what is left.
  ApiResult<void> finish() const;

private:
  const Json &object;
  std::vector<std::string_view> known;
};

/// A list of token ids; `name` is what errors call it.
ApiResult<std::vector<int32_t>> readTokenIds(const Json &list,
                                             std::string_view name);

/// "temperature is 'hot', expected a number", as an error of this parameter.
tl::unexpected<ApiError> wrongValue(std::string_view name, const Json &value,
                                    std::string_view expected);

} // namespace mbc::serve
