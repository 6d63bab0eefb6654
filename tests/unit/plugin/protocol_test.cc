// SPDX-License-Identifier: Apache-2.0
#include "plugin/protocol.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "core/error.h"

namespace overlayd {
namespace {

template <typename Decode>
std::string refusal(Decode&& decode) {
  try {
    decode();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::InvalidArgument);
    return error.what();
  }
  return "not refused";
}

TEST_SUITE("protocol") {
  TEST_CASE("null and absent fields of an Init are empty") {
    for (const char* body : {R"({"Home":"/h","Opts":null,"UIDMaps":null,"GIDMaps":null})",
                             R"({"Home":"/h"})", R"({"Home":"/h","Opts":[],"UIDMaps":[]})"}) {
      CAPTURE(body);
      const InitRequest request = decode_init(body);
      CHECK(request.home == "/h");
      CHECK(request.options.empty());
      CHECK(request.id_maps.uids.is_identity());
      CHECK(request.id_maps.gids.is_identity());
    }
  }

  TEST_CASE("id maps use the snake case names that engines send") {
    const InitRequest request =
        decode_init(R"({"Home":"/h","UIDMaps":[{"container_id":0,"host_id":100000,"size":65536}],)"
                    R"("GIDMaps":[{"container_id":0,"host_id":7,"size":1}]})");
    CHECK(request.id_maps.root_uid() == 100000);
    CHECK(request.id_maps.root_gid() == 7);
  }

  TEST_CASE("an Init survives being encoded and decoded") {
    const InitRequest request{.home = "/var/lib/x:y",
                              .options = {"a=b", "c=d"},
                              .id_maps = {IdMap({{0, 5, 10}}), IdMap()}};
    CHECK(decode_init(encode(request)) == request);
  }

  TEST_CASE("fields nobody knows are ignored") {
    CHECK(decode_layer(R"({"ID":"a","Later":{"x":[1]}})").id.str() == "a");
  }

  TEST_CASE("an absent, null or empty parent is none") {
    for (const char* body :
         {R"({"ID":"a"})", R"({"ID":"a","Parent":null})", R"({"ID":"a","Parent":""})"}) {
      CAPTURE(body);
      CHECK_FALSE(decode_diff(body).parent.has_value());
    }
    CHECK(decode_diff(R"({"ID":"a","Parent":"b"})").parent->str() == "b");
  }

  TEST_CASE("storage options come sorted by key") {
    const auto request = decode_create(R"({"ID":"a","StorageOpt":{"size":"2G","other":"1"}})");
    const std::vector<std::pair<std::string, std::string>> expected{{"other", "1"}, {"size", "2G"}};
    CHECK(request.storage_options == expected);
    CHECK(decode_create(R"({"ID":"a","StorageOpt":null})").storage_options.empty());
  }

  TEST_CASE("a bad request is refused with a message that names the field") {
    struct Row {
      const char* body;
      const char* message;
    };
    const Row rows[] = {
        {"", "request body is empty"},
        {" \n", "request body is empty"},
        {R"({"ID":"a)", "request body is not valid JSON"},
        {"\xff\xfe", "request body is not valid JSON"},
        {"[]", "request body is not a JSON object"},
        {"{}", "layer id is empty"},
        {R"({"ID":""})", "layer id is empty"},
        {R"({"ID":7})", "field 'ID' is not a string"},
        {R"({"ID":"a/b"})", "layer id 'a/b' contains '/'"},
        {R"({"ID":"a","Parent":[]})", "field 'Parent' is not a string"},
        {R"({"ID":"a","Parent":".."})",
         "parent: layer id '..' begins with '.', which the store keeps for itself"},
        {R"({"ID":"a","MountLabel":1})", "field 'MountLabel' is not a string"},
        {R"({"ID":"a","StorageOpt":[]})", "field 'StorageOpt' is not an object"},
        {R"({"ID":"a","StorageOpt":{"size":2}})", "field 'StorageOpt.size' is not a string"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.body);
      CHECK(refusal([&] { decode_create(row.body); }) == row.message);
    }
  }

  TEST_CASE("a bad Init is refused with a message that names the field") {
    struct Row {
      const char* body;
      const char* message;
    };
    const Row rows[] = {
        {"{}", "field 'Home' is not an absolute path"},
        {R"({"Home":"relative"})", "field 'Home' is not an absolute path"},
        {R"({"Home":"/h","Opts":"x"})", "field 'Opts' is not an array"},
        {R"({"Home":"/h","Opts":[1]})", "field 'Opts' is not a string"},
        {R"({"Home":"/h","UIDMaps":[1]})", "field 'UIDMaps' is not an array of objects"},
        {R"({"Home":"/h","UIDMaps":[{"container_id":-1}]})",
         "field 'container_id' is not a number of 32 bits"},
        {R"({"Home":"/h","UIDMaps":[{"size":4294967296}]})",
         "field 'size' is not a number of 32 bits"},
        {R"({"Home":"/h","GIDMaps":[{"size":0}]})", "GIDMaps: id map entry 0:0:0 is empty"},
    };
    for (const Row& row : rows) {
      CAPTURE(row.body);
      CHECK(refusal([&] { decode_init(row.body); }) == row.message);
    }
  }

  TEST_CASE("the query of ApplyDiff is taken as it is") {
    const DiffRequest request = decode_apply_query("id=a+b%20c&parent=d");
    CHECK(request.id.str() == "a+b%20c");
    CHECK(request.parent->str() == "d");
    CHECK_FALSE(decode_apply_query("id=a&parent=").parent.has_value());
    CHECK_FALSE(decode_apply_query("other=1&id=a").parent.has_value());
    CHECK(refusal([] { decode_apply_query(""); }) == "layer id is empty");
    CHECK(refusal([] { decode_apply_query("parent=a"); }) == "layer id is empty");
  }

  TEST_CASE("text that is not UTF-8 is encoded with replacement characters") {
    CHECK(encode(ErrorReply{"bad \xff name"}) == "{\"Err\":\"bad \uFFFD name\"}\n");
  }

  TEST_CASE("names in a list of changes are encoded as other text is") {
    std::vector<std::string> names = {"/plain",        "/\u00e4\u20ac\U0001f600", "/\xff/\xc3",
                                      "/\xed\xa0\x80", "/quote\"back\\slash",     ""};
    for (int byte = 0; byte < 256; ++byte) names.push_back("/a" + std::string(1, char(byte)) + "b");
    StringSink all;
    ChangesReply reply(all);
    std::string expected;
    for (const std::string& name : names) {
      CAPTURE(name);
      const std::string other = encode(ErrorReply{name});
      const std::string value = other.substr(7, other.size() - 9);  // of {"Err":value}
      const std::string change = "{\"Path\":" + value + ",\"Kind\":2}";
      reply.add(name, ChangeKind::Delete);
      expected += (expected.empty() ? "" : ",") + change;
    }
    reply.finish();
    CHECK(all.text() == "{\"Changes\":[" + expected + "]}\n");
  }

  TEST_CASE("a long list of changes goes out in pieces, and an error behind it ends it") {
    StringSink sink;
    ChangesReply reply(sink);
    const std::string path = "/" + std::string(1000, 'a');
    for (int i = 0; i < 100; ++i) reply.add(path, ChangeKind::Add);
    CHECK(sink.text().size() > 64 * 1024);
    reply.fail("the disk is \"gone\"");
    CHECK(sink.text().ends_with(path + "\",\"Kind\":1}],\"Err\":\"the disk is \\\"gone\\\"\"}\n"));
  }

  TEST_CASE("an empty list is encoded as one") {
    StringSink sink;
    ChangesReply(sink).finish();
    CHECK(sink.text() == "{\"Changes\":[]}\n");
    CHECK(encode(StatusReply{}) == "{\"Status\":[]}\n");
  }
}

}  // namespace
}  // namespace overlayd
