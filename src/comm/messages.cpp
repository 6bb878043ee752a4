#include "comm/messages.h"

#include <algorithm>

#include "core/error.h"

namespace wan::comm {
namespace {

constexpr size_t max_name = 256;
constexpr size_t max_text = 4096;
constexpr size_t max_traits = 64;
constexpr uint64_t max_rank = 1 << 20;

void put(Writer& out, const Member& m) {
  out.number(static_cast<uint64_t>(m.rank)).number(static_cast<uint64_t>(m.process));
  for (const std::string* text : {&m.host, &m.gpu, &m.gpu_id, &m.address})
    out.text(std::string_view(*text).substr(0, max_name));
}

Member get_member(Reader& in) {
  Member m;
  m.rank = static_cast<int>(in.number(max_rank));
  m.process = static_cast<int64_t>(in.number(uint64_t{1} << 62));
  for (std::string* text : {&m.host, &m.gpu, &m.gpu_id, &m.address}) *text = in.text(max_name);
  return m;
}

uint64_t hash(std::string_view text) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

}  // namespace

Bytes encode(const Hello& hello) {
  Writer out;
  out.number(hello.protocol).number(static_cast<uint64_t>(hello.size));
  put(out, hello.member);
  out.number(hello.same.size());
  for (const Trait& t : hello.same) out.text(t.name).text(shortened(t).value);
  return out.take();
}

Hello decode_hello(std::span<const std::byte> body) {
  Reader in(body);
  Hello hello;
  hello.protocol = in.number();
  if (hello.protocol != protocol_version) return hello;
  hello.size = static_cast<int>(in.number(max_rank));
  hello.member = get_member(in);
  for (uint64_t n = in.number(max_traits); n > 0; --n) {
    std::string name = in.text(max_name);
    hello.same.push_back({std::move(name), in.text(max_text)});
  }
  in.end();
  return hello;
}

Bytes encode(const Welcome& welcome) {
  Writer out;
  out.bytes(welcome.nonce);
  for (const Member& m : welcome.members) put(out, m);
  return out.take();
}

Welcome decode_welcome(std::span<const std::byte> body, int size) {
  Reader in(body);
  Welcome welcome;
  const Bytes nonce = in.bytes(welcome.nonce.size());
  require(nonce.size() == welcome.nonce.size(), ErrorCode::comm, "[message] a welcome without its key");
  std::copy(nonce.begin(), nonce.end(), welcome.nonce.begin());
  for (int r = 0; r < size; ++r) {
    welcome.members.push_back(get_member(in));
    require(welcome.members.back().rank == r, ErrorCode::comm, "[message] rank {} in the place of rank {}",
            welcome.members.back().rank, r);
  }
  in.end();
  return welcome;
}

Bytes encode(const Status& s) {
  return Writer()
      .number(s.ticks)
      .number(s.calls)
      .number(s.waiting ? 1 : 0)
      .text(std::string_view(s.call).substr(0, max_name))
      .text(std::string_view(s.state).substr(0, max_text))
      .take();
}

Status decode_status(std::span<const std::byte> body) {
  Reader in(body);
  Status s;
  s.ticks = in.number();
  s.calls = in.number();
  s.waiting = in.number(1) == 1;
  s.call = in.text(max_name);
  s.state = in.text(max_text);
  in.end();
  return s;
}

Bytes encode(const Verdict& verdict) {
  return Writer()
      .number(static_cast<uint64_t>(verdict.code))
      .text(std::string_view(verdict.message).substr(0, max_text))
      .take();
}

Verdict decode_verdict(std::span<const std::byte> body) {
  Reader in(body);
  Verdict verdict;
  verdict.code = static_cast<ErrorCode>(in.number(static_cast<uint64_t>(ErrorCode::unsupported)));
  verdict.message = in.text(max_text);
  in.end();
  return verdict;
}

Bytes encode_gathered(uint64_t number, const std::vector<Bytes>& parts) {
  Writer out;
  out.number(number);
  for (const Bytes& part : parts) out.bytes(part);
  return out.take();
}

std::vector<Bytes> decode_gathered(std::span<const std::byte> body, int size, uint64_t& number) {
  Reader in(body);
  number = in.number();
  std::vector<Bytes> parts;
  for (int r = 0; r < size; ++r) parts.push_back(in.bytes(max_contribution));
  in.end();
  return parts;
}

Trait shortened(Trait t) {
  constexpr size_t shown = 160;
  t.name = t.name.substr(0, max_name);
  if (t.value.size() > shown)
    t.value = fmt::format("{}... ({} bytes, hash {:016x})", t.value.substr(0, shown), t.value.size(), hash(t.value));
  return t;
}

}  // namespace wan::comm
