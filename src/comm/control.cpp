#include "comm/control.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "comm/control_state.h"
#include "core/error.h"

namespace wan::comm {
namespace {

// Values whose equality agree() asks for, shortened so that all fit into one contribution.
Bytes encode_traits(const std::vector<Trait>& traits) {
  Writer out;
  out.number(traits.size());
  for (const Trait& t : traits) out.text(t.name).text(shortened(t).value);
  return out.take();
}

std::vector<Trait> decode_traits(std::span<const std::byte> bytes) {
  Reader in(bytes);
  std::vector<Trait> traits;
  for (uint64_t n = in.number(64); n > 0; --n) {
    std::string name = in.text(max_contribution);
    traits.push_back({std::move(name), in.text(max_contribution)});
  }
  in.end();
  return traits;
}

void raise(const Socket& event) noexcept {
  const uint64_t one = 1;
  [[maybe_unused]] const auto n = ::write(event.get(), &one, sizeof one);
}

}  // namespace

Control::State::State(Joined joined, const Hello& hello, const Limits& given)
    : rank(hello.member.rank),
      size(hello.size),
      limits(given),
      members(std::move(joined.welcome.members)),
      nonce(joined.welcome.nonce),
      wake_thread(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      wake_worker(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      stall(given.stall),
      listener(std::move(joined.listener)) {
  require(wake_thread && wake_worker, ErrorCode::comm, "[ranks] the system gives no more descriptors; see ulimit -n");
  const auto now = last_pass = last_beat = own_advanced = Clock::now();
  std::string root_address;
  for (size_t i = 0; i < joined.links.size(); ++i) {
    if (!joined.links[i].socket) continue;
    if (rank != 0) root_address = peer_address(joined.links[i].socket);
    Peer& peer = peers.try_emplace(static_cast<int>(i)).first->second;
    peer.link = std::move(joined.links[i]);
    peer.heard = peer.advanced = now;
  }
  if (root_address.empty()) root_address = "127.0.0.1";
  for (const Member& m : members) addresses.push_back(m.address.empty() ? root_address : m.address);
  if (!peers.empty()) thread = std::thread([this] { run(); });
}

Control::State::~State() {
  {
    const std::lock_guard lock(mutex);
    leaving = true;
  }
  wake();
  if (thread.joinable()) thread.join();
}

void Control::State::wake() noexcept { raise(wake_thread); }

void Control::State::settle(const Verdict& given) {
  {
    const std::lock_guard lock(mutex);
    if (verdict) return;
    verdict = given;
    has_verdict = true;
  }
  raise(wake_worker);
  changed.notify_all();
  wake();
}

void Control::State::throw_verdict() {
  Verdict v;
  {
    const std::lock_guard lock(mutex);
    noticed = true;
    v = *verdict;
  }
  throw Error(v.code, v.message);
}

std::shared_ptr<Control> Control::meet(const Place& place, const Hello& hello, const Limits& limits,
                                       const std::function<void()>& poll) {
  Joined joined;
  if (hello.size > 1)
    joined = join(place, hello, limits.join, poll);
  else
    joined.welcome.members = {hello.member};
  return std::shared_ptr<Control>(new Control(std::make_unique<State>(std::move(joined), hello, limits)));
}

Control::Control(std::unique_ptr<State> state) : state_(std::move(state)) {}
Control::~Control() = default;

int Control::rank() const noexcept { return state_->rank; }
int Control::size() const noexcept { return state_->size; }
const std::vector<Member>& Control::members() const noexcept { return state_->members; }
const Nonce& Control::nonce() const noexcept { return state_->nonce; }
const std::string& Control::address_of(int rank) const { return state_->addresses.at(static_cast<size_t>(rank)); }
int Control::wake_descriptor() const noexcept { return state_->wake_worker.get(); }
bool Control::ended() const noexcept { return state_->has_verdict; }

void Control::report(const std::string& text) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->status.state = text;
    ++state_->status.ticks;
    state_->urgent = true;
  }
  state_->wake();
}

void Control::tick() {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->status.ticks;
  }
  check();
}

void Control::check() const {
  if (state_->has_verdict) state_->throw_verdict();
}

void Control::set_stall_limit(milliseconds limit) {
  const std::lock_guard lock(state_->mutex);
  state_->stall = limit;
}

void Control::fail(ErrorCode code, const std::string& message) {
  const Member& me = state_->members[static_cast<size_t>(rank())];
  {
    const std::lock_guard lock(state_->mutex);
    state_->noticed = true;
  }
  state_->settle({code, fmt::format("[ranks] {} failed: {}", describe(me, size()), message)});
}

void Control::give_up(ErrorCode code, const std::string& message) {
  {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, state_->limits.verdict, [&] { return state_->verdict.has_value(); });
  }
  if (!ended()) fail(code, message);
  state_->throw_verdict();
}

void Control::lost(int rank, const std::string& detail) {
  give_up(ErrorCode::comm,
          fmt::format("{} has ended its work, but its data is still waited for ({}). Look at its own messages, and at "
                      "the network between the two",
                      describe(state_->members.at(static_cast<size_t>(rank)), size()), detail));
}

std::vector<Bytes> Control::gather(std::span<const std::byte> given) {
  require(given.size() <= max_contribution, ErrorCode::comm, "[ranks] {} bytes to gather, expected at most {}",
          given.size(), max_contribution);
  if (size() == 1) return {Bytes(given.begin(), given.end())};
  const Call call(*this, "gather");
  std::unique_lock lock(state_->mutex);
  const uint64_t number = ++state_->gathering;
  state_->mine = Bytes(given.begin(), given.end());
  state_->wake();
  state_->changed.wait(lock, [&] { return state_->verdict || state_->gathered.contains(number); });
  if (!state_->gathered.contains(number)) {
    lock.unlock();
    state_->throw_verdict();
  }
  std::vector<Bytes> all = std::move(state_->gathered.extract(number).mapped());
  return all;
}

void Control::agree(const std::vector<Trait>& traits) {
  const std::vector<Bytes> all = gather(encode_traits(traits));
  const Hello root{.size = size(), .same = decode_traits(all.front())};
  for (int r = 1; r < size(); ++r) {
    const auto i = static_cast<size_t>(r);
    const Hello other{.size = size(), .member = state_->members[i], .same = decode_traits(all[i])};
    if (const std::string text = mismatch(root, other, {}); !text.empty()) {
      state_->settle({ErrorCode::comm, text});
      check();
    }
  }
}

Control::Call::Call(Control& control, const char* name) : control_(control) {
  control_.check();
  const std::lock_guard lock(control_.state_->mutex);
  Status& s = control_.state_->status;
  ++s.calls;
  s.waiting = true;
  s.call = name;
}

Control::Call::~Call() {
  const std::lock_guard lock(control_.state_->mutex);
  control_.state_->status.waiting = false;
}

std::shared_ptr<void> Control::on_end(std::function<void()> action) {
  State* state = state_.get();
  std::unique_lock lock(state->actions_mutex);
  if (state->has_verdict) {
    lock.unlock();
    action();
    return nullptr;
  }
  const auto place = state->actions.insert(state->actions.end(), std::move(action));
  return {state, [state, place](void*) {
            const std::lock_guard guard(state->actions_mutex);
            state->actions.erase(place);
          }};
}

void Control::on_unheeded(std::function<void(const Error&)> action) {
  const std::lock_guard lock(state_->mutex);
  state_->unheeded = std::move(action);
}

}  // namespace wan::comm
