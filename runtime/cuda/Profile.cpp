//===- Profile.cpp --------------------------------------------------------===//

#include "runtime/cuda/Profile.h"

namespace mbc::cuda {

Profile::~Profile() {
  for (CUevent event : events)
    api.cuEventDestroy(event);
}

Status Profile::mark(CUstream stream) {
  if (used == events.size())
    MBC_TRY(checked(api.cuEventCreate(&events.emplace_back(), CU_EVENT_DEFAULT),
                    "making an event"));
  return checked(api.cuEventRecord(events[used++], stream),
                 "recording an event");
}

Expected<std::map<std::string, Profile::Entry>> Profile::collect() {
  std::map<std::string, Entry> entries;
  for (size_t i = 0; i < names.size(); ++i) {
    float milliseconds = 0;
    MBC_TRY(checked(
        api.cuEventElapsedTime(&milliseconds, events[2 * i], events[2 * i + 1]),
        "reading events"));
    Entry &entry = entries[names[i]];
    ++entry.launches;
    entry.milliseconds += milliseconds;
  }
  names.clear();
  used = 0;
  return entries;
}

} // namespace mbc::cuda
