// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// E4: end-to-end encryption and key management for IoT messages.
//
// A device protects its messages under topic keys that a broker never sees. C2, the command and
// control server, gives and takes those keys by protected commands over the same broker. E4 opens
// no connection: it turns bytes into bytes, and the application publishes and receives them.
//
// A device, in short:
//
//     static e4_client device = E4_CLIENT_INIT;
//     e4_open(&device, &config);                     // once e4_provision_... has stored it
//     e4_control_topic(&device, control);            // subscribe to this one, too
//     e4_unprotect(&device, now, topic, ...);        // for all that arrives
//     e4_protect(&device, now, topic, ...);          // for all that is sent
//
// What holds for every function:
//
// - Memory is the caller's. No function takes any from a heap, except e4_file_open and those that
//   derive keys from passwords. No function keeps a pointer, except what e4_config says.
// - Text is UTF-8 with its length in bytes, without a NUL. NULL with length 0 is empty; NULL with
//   another length, NULL for anything that is not called optional, and a pointer that is not
//   aligned for its type are refused with E4_ERROR_INVALID_PARAMETER.
// - What is written must not overlap what is read, nor the client; an overlap is refused with
//   E4_ERROR_INVALID_PARAMETER.
// - An output needs not be initialised. A length is set to 0 first. After an error the length is 0
//   and all that E4 wrote is wiped; after E4_ERROR_INVALID_PARAMETER outputs are zero or untouched.
// - Time is an argument: Unix seconds, or E4_NO_CLOCK on a device without a clock. Such a device
//   takes the time from the last command it applied, and knows none before the first.
// - There are no globals and no locks. Calls on different clients may run at the same time; calls
//   on one client, or on one storage, must follow one another.
// - "On hosts" marks what a library built for firmware lacks; "in public-key mode" what a library
//   built without that mode lacks. The linker tells.

#ifndef E4_H
#define E4_H

#include <stddef.h>
#include <stdint.h>

// Marks a function whose result must be looked at.
#ifndef E4_NODISCARD
#if defined(__cplusplus) && __cplusplus >= 201703L
#define E4_NODISCARD [[nodiscard]]
#elif defined(__GNUC__) || defined(__clang__)
#define E4_NODISCARD __attribute__((warn_unused_result))
#else
#define E4_NODISCARD
#endif
#endif

/* Version --------------------------------------------------------------------------------------- */

// The version of this header; e4_version() tells that of the library.
#define E4_VERSION_MAJOR 0
#define E4_VERSION_MINOR 1
#define E4_VERSION_PATCH 0
#define E4_VERSION "0.1.0"

/* Results --------------------------------------------------------------------------------------- */

// A function returns 0 for success, a positive number for success with a meaning, a negative one
// for an error. Numbers keep their meaning for life; an application meets new ones with
// `default:`. -100 to -113 mean what they mean in libe4.

// It worked.
#define E4_OK 0
// e4_unprotect: what came in was a command of C2. It has been applied and stored.
#define E4_OK_COMMAND 1
// There is nothing: no answer is due, or no such record is stored.
#define E4_OK_NONE 2

// A bug in E4 itself.
#define E4_ERROR_INTERNAL (-100)
// The bytes do not authenticate under the key: altered, or protected under another key.
#define E4_ERROR_INVALID_TAG (-101)
// The timestamp is ahead of the clock by more than the tolerance.
#define E4_ERROR_TIMESTAMP_IN_FUTURE (-102)
// The timestamp is older than the validity.
#define E4_ERROR_TIMESTAMP_TOO_OLD (-103)
// Fewer bytes than the smallest message of the mode.
#define E4_ERROR_MESSAGE_TOO_SHORT (-104)
// The client holds no key for the topic.
#define E4_ERROR_TOPIC_KEY_MISSING (-105)
// The command, or the message where its cache is on, was seen before.
#define E4_ERROR_REPLAYED (-106)
// An unknown opcode, a wrong length, or a command of the other mode.
#define E4_ERROR_INVALID_COMMAND (-107)
// The storage failed to read, write or erase.
#define E4_ERROR_STORAGE (-108)
// The client holds no public key for the signer.
#define E4_ERROR_SIGNER_UNKNOWN (-109)
// The signature is wrong.
#define E4_ERROR_SIGNATURE_INVALID (-110)
// The output buffer is too small for the result.
#define E4_ERROR_BUFFER_TOO_SMALL (-111)
// NULL, an overlap, a bad length, or a handle that is not open (C ABI).
#define E4_ERROR_INVALID_PARAMETER (-112)
// The stored state has another format, version or mode than this build reads.
#define E4_ERROR_STATE_INCOMPATIBLE (-113)
// All zero, not on the curve, of small order, of the wrong length, or halves that do not match.
#define E4_ERROR_INVALID_KEY (-114)
// Empty, longer than 255 bytes, or not UTF-8.
#define E4_ERROR_INVALID_NAME (-115)
// Empty, longer than 65,535 bytes, not UTF-8, or the client's own control topic.
#define E4_ERROR_INVALID_TOPIC (-116)
// Shorter than 16 bytes, or not UTF-8.
#define E4_ERROR_INVALID_PASSWORD (-117)
// The storage holds no client.
#define E4_ERROR_NOT_PROVISIONED (-118)
// The storage holds a client already; forget it first.
#define E4_ERROR_ALREADY_PROVISIONED (-119)
// A stored record does not have the check value that it was written with.
#define E4_ERROR_STATE_CORRUPT (-120)
// No free record is left for another key.
#define E4_ERROR_STORAGE_FULL (-121)
// The operation needs the other mode (SK or PK).
#define E4_ERROR_WRONG_MODE (-122)
// The operating system gave no randomness.
#define E4_ERROR_RANDOMNESS (-123)
// The client has no clock and has not seen a command to take the time from.
#define E4_ERROR_CLOCK_UNKNOWN (-124)
// Not enough memory for the password derivation.
#define E4_ERROR_OUT_OF_MEMORY (-125)

/* Sizes and constants --------------------------------------------------------------------------- */

// The number of the ABI; it is in the name of the shared library (libe4.so.0) and changes when
// a program must be compiled again.
#define E4_ABI 0

// Bytes in the id of a client.
#define E4_ID_LEN 16
// Bytes in the hash of a topic.
#define E4_TOPIC_HASH_LEN 16
// Bytes in a symmetric key, an Ed25519 public key, an X25519 public or private key.
#define E4_KEY_LEN 32
// Bytes in an Ed25519 private key: seed (32), then public key (32).
#define E4_PRIVATE_KEY_LEN 64

// Bytes in the name of a client, at most.
#define E4_NAME_MAX 255
// Bytes in a topic, at most (the limit of MQTT).
#define E4_TOPIC_MAX 65535
// Bytes in a password, at least.
#define E4_PASSWORD_MIN 16

// What protection adds to a message in symmetric-key mode, and to every command.
#define E4_SK_OVERHEAD 24
// What protection adds to a message in public-key mode.
#define E4_PK_OVERHEAD 104
// Bytes in a protected command, at most (SetIdKey in public-key mode).
#define E4_COMMAND_MAX 89
// Bytes in a protected answer.
#define E4_ANSWER_LEN 58
// Bytes in the digest of a client's keys.
#define E4_DIGEST_LEN 16

// Bytes in a SIV, by which an answer names its command.
#define E4_SIV_LEN 16
// Where the SIV stands in a protected command.
#define E4_SIV_OFFSET 8

// Characters in a control topic, "e4/" and the id in hexadecimal; a NUL comes on top.
#define E4_CONTROL_TOPIC_LEN 35
// Characters in an answer topic, the control topic and "/ack"; a NUL comes on top.
#define E4_ANSWER_TOPIC_LEN 39

// Bytes in a record of a storage, at most. Record 0 alone is longer than E4_SLOT_LEN.
#define E4_RECORD_MAX 398
// Bytes in a record from number 1 up, which holds one key.
#define E4_SLOT_LEN 126

// A client that has only symmetric keys (SK).
#define E4_MODE_SYMMETRIC 1
// A client that signs its messages (PK).
#define E4_MODE_PUBLIC_KEY 2

// Opcode: forget the keys of one topic.
#define E4_REMOVE_TOPIC 0
// Opcode: forget the keys of all topics.
#define E4_RESET_TOPICS 1
// Opcode: replace the client's own key.
#define E4_SET_ID_KEY 2
// Opcode: add or replace the key of a topic.
#define E4_SET_TOPIC_KEY 3
// Opcode: forget the public key of one client (PK).
#define E4_REMOVE_PUB_KEY 4
// Opcode: forget all public keys (PK).
#define E4_RESET_PUB_KEYS 5
// Opcode: add or replace the public key of a client (PK).
#define E4_SET_PUB_KEY 6
// Opcode: replace C2's public key (PK).
#define E4_SET_C2_KEY 7

// The message has no signer: the client is in symmetric-key mode.
#define E4_SIGNER_NONE 0
// The signature was checked with the signer's public key.
#define E4_SIGNER_VERIFIED 1
// The signer is not known, so nobody knows who wrote this; only with accept_unknown_signers.
#define E4_SIGNER_UNKNOWN 2

// Words of 8 bytes in an e4_client, an e4_key_place, an e4_seen_place.
#define E4_CLIENT_WORDS 96
#define E4_KEY_PLACE_WORDS 14
#define E4_SEEN_PLACE_WORDS 4

// The argument now, on a device without a clock.
#define E4_NO_CLOCK UINT64_MAX
// An e4_client that is not open.
#define E4_CLIENT_INIT { { 0 } }
// The e4_settings of a client that is not told otherwise.
#define E4_SETTINGS_DEFAULT { 600, 600, 3600, 0 }
// Bytes for e4_memory_storage, with room for that many keys (of topics and of other clients).
#define E4_MEMORY_SIZE(keys) (2 + E4_RECORD_MAX + (size_t)(keys) * (2 + E4_SLOT_LEN))

/* Types ----------------------------------------------------------------------------------------- */

// A state file that is open.
typedef struct e4_file e4_file;

// A client. Its content is E4's own. Initialise it with E4_CLIENT_INIT (zero bytes). While it is
// open it must neither be copied nor moved; a copy is refused.
typedef struct {
    uint64_t opaque[E4_CLIENT_WORDS];
} e4_client;

// Reads a record into buf, which has room for cap bytes, and sets *len. Returns E4_OK;
// E4_OK_NONE if there is no such record; else E4_ERROR_STORAGE, or E4_ERROR_STATE_INCOMPATIBLE
// if the record is longer than cap.
typedef int32_t (*e4_storage_read)(void *ctx, uint32_t record, uint8_t *buf, size_t cap, size_t *len);

// Writes or replaces a record of len bytes; it is durable when this returns E4_OK. Else
// E4_ERROR_STORAGE, or E4_ERROR_STORAGE_FULL where there is no place for it.
typedef int32_t (*e4_storage_write)(void *ctx, uint32_t record, const uint8_t *buf, size_t len);

// Erases a record so that its bytes cannot be read again, as far as the medium allows. Returns
// E4_OK, also if there is no such record; else E4_ERROR_STORAGE.
typedef int32_t (*e4_storage_erase)(void *ctx, uint32_t record);

// Where a client keeps its records: e4_memory_storage, e4_file_storage, or three functions over
// the flash of a device. Their promise is one sentence: AFTER A POWER CUT A RECORD HOLDS THE OLD
// BYTES OR THE NEW ONES, NEVER A MIXTURE.
//
// Record 0, of up to E4_RECORD_MAX bytes, says who the client is; the records from 1 up hold one
// key each in E4_SLOT_LEN bytes and are numbered without gaps. They hold secret keys in the
// clear. A message costs no write. A command costs one, or two if it overwrites a record in the
// same second as the command before it; ResetTopics and ResetPubKeys cost one more for each key.
//
// The functions are called during calls of E4 alone and must not call E4 on the same client. A
// result that is not listed counts as E4_ERROR_STORAGE.
typedef struct {
    // Handed to each function; may be NULL.
    void *ctx;
    e4_storage_read read;
    e4_storage_write write;
    e4_storage_erase erase;
} e4_storage;

// A place for one key, of a topic or of another client, in the table of a client.
typedef struct {
    uint64_t opaque[E4_KEY_PLACE_WORDS];
} e4_key_place;

// A place for one message in the replay cache of a client.
typedef struct {
    uint64_t opaque[E4_SEEN_PLACE_WORDS];
} e4_seen_place;

// What a client tolerates. It is not stored: give it at every start. Begin with
// E4_SETTINGS_DEFAULT.
typedef struct {
    // How old a message may be, in seconds; 600 by default.
    uint32_t past;
    // How far ahead of the clock a message may be, in seconds; 600 by default.
    uint32_t future;
    // How long a replaced topic key still opens messages, in seconds; 3600 by default.
    uint32_t transition;
    // 1 for a public-key client that takes messages of signers whose public key it does not hold;
    // 0 by default, other values are refused. A wrong signature of a known signer is never taken.
    uint32_t accept_unknown_signers;
} e4_settings;

// What a client is opened with. The struct is read during the call alone. The two arrays belong
// to E4 from then until e4_close, which wipes them; the storage's ctx must live as long.
typedef struct {
    // Where the records are.
    e4_storage storage;
    // A table of keys in RAM; optional. A key that has no place here still works: it is read from
    // the storage for each message.
    e4_key_place *keys;
    // Places in the table.
    size_t keys_count;
    // A replay cache; NULL for none. With it, a message that was seen before is refused with
    // E4_ERROR_REPLAYED. Two equal payloads in the same second under one key are equal bytes, so
    // the second of them is refused as well. (Commands are always guarded, without a cache.)
    e4_seen_place *seen;
    // Places in the cache; when it is full the oldest message is forgotten.
    size_t seen_count;
    // What the client tolerates.
    e4_settings settings;
} e4_config;

// What e4_unprotect tells beside the plaintext.
typedef struct {
    // A message: the sender's clock in Unix seconds. A command: 0.
    uint64_t timestamp;
    // A message in public-key mode: who signed it. Else zero.
    uint8_t signer[E4_ID_LEN];
    // E4_SIGNER_NONE, E4_SIGNER_VERIFIED or E4_SIGNER_UNKNOWN.
    uint8_t signer_status;
    // A command: E4_SET_TOPIC_KEY and so on. A message: 0.
    uint8_t opcode;
} e4_message_info;

// Records in memory; see e4_memory_storage. Its content is E4's own.
typedef struct {
    uint8_t *bytes;
    size_t len;
} e4_memory;

// What a client answered.
typedef struct {
    // The client's clock, in Unix seconds. It is the caller's to judge.
    uint64_t timestamp;
    // E4_OK if the command was applied, else the error for which it was refused.
    int32_t status;
    // 1 for a "hello", which answers no command; else 0.
    uint8_t hello;
    // The SIV of the command that is answered; zero in a hello. It stands in the protected command
    // at E4_SIV_OFFSET.
    uint8_t command[E4_SIV_LEN];
    // The digest of the keys that the client holds; see e4_digest.
    uint8_t digest[E4_DIGEST_LEN];
} e4_answer_info;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* The library ----------------------------------------------------------------------------------- */

// The version of the library as a number: major * 65536 + minor * 256 + patch.
E4_NODISCARD uint32_t e4_version(void);

// The version of the library as text: "0.1.0". It stays valid for ever.
E4_NODISCARD const char *e4_version_text(void);

// The number of the library's ABI. Where it is not E4_ABI of the header that a program was compiled
// with, the program must not go on.
E4_NODISCARD uint32_t e4_abi(void);

// What a result means, in one line of English without a full stop: "authentication failed: altered
// message or wrong key". "success" from 0 up, "unknown error" for a number that the library does
// not know; never NULL. It stays valid for ever.
E4_NODISCARD const char *e4_error_text(int32_t result);

/* Provisioning: a new client, stored and open --------------------------------------------------- */

// Stores a new client in symmetric-key mode and opens it. Its id and key are what C2 has for it;
// both are copied, the key must not be all zero.
//
// E4_ERROR_ALREADY_PROVISIONED if the storage holds a client, which is not touched;
// E4_ERROR_INVALID_KEY; errors of the storage; E4_ERROR_INVALID_PARAMETER, also if the client is
// open.
E4_NODISCARD
int32_t e4_provision_symmetric(e4_client *client,
                               const e4_config *config,
                               const uint8_t id[E4_ID_LEN],
                               const uint8_t key[E4_KEY_LEN]);

// Stores a new client in public-key mode and opens it (in public-key mode): with its id, its
// Ed25519 private key, and C2's X25519 public key.
//
// Errors are those of e4_provision_symmetric; E4_ERROR_INVALID_KEY also for a private key whose
// halves do not match, and a public key of small order.
E4_NODISCARD
int32_t e4_provision_public_key(e4_client *client,
                                const e4_config *config,
                                const uint8_t id[E4_ID_LEN],
                                const uint8_t private_key[E4_PRIVATE_KEY_LEN],
                                const uint8_t c2_public_key[E4_KEY_LEN]);

// e4_provision_symmetric with the id and the key made from a name (1 to 255 bytes) and a password
// (16 bytes or more), as e4go and libe4 make them (on hosts; 64 MiB of heap, some tens of
// milliseconds). For compatibility: random keys are better.
//
// Errors besides: E4_ERROR_INVALID_NAME, E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
E4_NODISCARD
int32_t e4_provision_symmetric_password(e4_client *client,
                                        const e4_config *config,
                                        const char *name,
                                        size_t name_len,
                                        const char *password,
                                        size_t password_len);

// e4_provision_public_key with the id and the key pair made from a name and a password (on hosts,
// in public-key mode). See e4_provision_symmetric_password.
E4_NODISCARD
int32_t e4_provision_public_key_password(e4_client *client,
                                         const e4_config *config,
                                         const char *name,
                                         size_t name_len,
                                         const char *password,
                                         size_t password_len,
                                         const uint8_t c2_public_key[E4_KEY_LEN]);

/* A client at work ------------------------------------------------------------------------------ */

// Opens a stored client.
//
// E4_ERROR_NOT_PROVISIONED if the storage holds none; E4_ERROR_STATE_CORRUPT,
// E4_ERROR_STATE_INCOMPATIBLE; errors of the storage; E4_ERROR_INVALID_PARAMETER, also if the
// client is open already.
E4_NODISCARD int32_t e4_open(e4_client *client, const e4_config *config);

// Closes a client: wipes the struct and the two arrays of its config. The storage keeps its
// records. The client may be opened again.
//
// E4_ERROR_INVALID_PARAMETER if it is not open; nothing happens then.
int32_t e4_close(e4_client *client);

// Forgets a client: erases its records, and closes it, also on an error.
//
// After E4_ERROR_STORAGE, or a power cut, the storage holds either the whole client or none; what
// is left of the keys of a client that is gone is erased by the next e4_open or e4_provision_...
E4_NODISCARD int32_t e4_forget(e4_client *client);

// E4_MODE_SYMMETRIC, E4_MODE_PUBLIC_KEY, or E4_ERROR_INVALID_PARAMETER.
E4_NODISCARD int32_t e4_mode(const e4_client *client);

// The id of a client.
E4_NODISCARD int32_t e4_id(const e4_client *client, uint8_t id[E4_ID_LEN]);

// The Ed25519 public key of a client, by which others check its messages (in public-key mode).
//
// E4_ERROR_WRONG_MODE for a client in symmetric-key mode.
E4_NODISCARD int32_t e4_public_key(const e4_client *client, uint8_t public_key[E4_KEY_LEN]);

// The topic to subscribe to for commands, with QoS 2 or 1: "e4/", the id in 32 lower-case
// hexadecimal digits, and a NUL.
E4_NODISCARD
int32_t e4_control_topic(const e4_client *client,
                         char topic[E4_CONTROL_TOPIC_LEN + 1]);

// The topic on which e4_answer and e4_hello are published: the control topic, "/ack", and a NUL.
E4_NODISCARD int32_t e4_answer_topic(const e4_client *client, char topic[E4_ANSWER_TOPIC_LEN + 1]);

// E4_OK if the client holds a key for a topic, else E4_ERROR_TOPIC_KEY_MISSING.
//
// E4_ERROR_INVALID_TOPIC, errors of the storage.
E4_NODISCARD int32_t e4_has_topic(const e4_client *client, const char *topic, size_t topic_len);

// How many topic keys the client holds, or E4_ERROR_INVALID_PARAMETER.
E4_NODISCARD int32_t e4_topic_count(const e4_client *client);

// How many public keys of other clients the client holds, or E4_ERROR_INVALID_PARAMETER.
E4_NODISCARD int32_t e4_peer_count(const e4_client *client);

// A digest of the keys that the client holds, by which C2 notices drift (PROTOCOL section 11).
//
// Errors of the storage.
E4_NODISCARD int32_t e4_digest(const e4_client *client, uint8_t digest[E4_DIGEST_LEN]);

// What the client tolerates now.
E4_NODISCARD int32_t e4_settings_get(const e4_client *client, e4_settings *settings);

// Changes what the client tolerates, from the next call on.
E4_NODISCARD int32_t e4_settings_set(e4_client *client, const e4_settings *settings);

/* Messages and commands ------------------------------------------------------------------------- */

// Protects a message for a topic. out needs message_len + E4_SK_OVERHEAD bytes, or
// message_len + E4_PK_OVERHEAD for a client in public-key mode; *out_len tells how many there are.
// The message may be empty, but a peer that runs e4go refuses an empty one in symmetric-key mode.
// Never set now ahead of the true time: e4go refuses one second.
//
// E4_ERROR_TOPIC_KEY_MISSING; E4_ERROR_INVALID_TOPIC, also for the client's own control topic;
// E4_ERROR_BUFFER_TOO_SMALL; E4_ERROR_CLOCK_UNKNOWN; errors of the storage.
E4_NODISCARD
int32_t e4_protect(const e4_client *client,
                   uint64_t now,
                   const char *topic,
                   size_t topic_len,
                   const uint8_t *message,
                   size_t message_len,
                   uint8_t *out,
                   size_t out_cap,
                   size_t *out_len);

// Takes in what arrived on a topic. out needs incoming_len - E4_SK_OVERHEAD bytes
// (incoming_len bytes are always enough). info is optional.
//
// E4_OK: a message; its plaintext is in out, *out_len bytes, perhaps none.
// E4_OK_COMMAND: on the control topic, a command. It has been stored and applied; *out_len is 0.
// Ask e4_answer for the answer to C2.
//
// E4_ERROR_REPLAYED, and E4_ERROR_TIMESTAMP_TOO_OLD, are normal for a command where a broker has
// retained it. Others: E4_ERROR_INVALID_TOPIC, E4_ERROR_TOPIC_KEY_MISSING,
// E4_ERROR_MESSAGE_TOO_SHORT, E4_ERROR_TIMESTAMP_IN_FUTURE, E4_ERROR_SIGNER_UNKNOWN,
// E4_ERROR_SIGNATURE_INVALID, E4_ERROR_INVALID_TAG, E4_ERROR_BUFFER_TOO_SMALL, errors of the
// storage; for a command E4_ERROR_INVALID_COMMAND and E4_ERROR_INVALID_KEY. A command that gave
// an error has changed nothing.
E4_NODISCARD
int32_t e4_unprotect(e4_client *client,
                     uint64_t now,
                     const char *topic,
                     size_t topic_len,
                     const uint8_t *incoming,
                     size_t incoming_len,
                     uint8_t *out,
                     size_t out_cap,
                     size_t *out_len,
                     e4_message_info *info);

// The answer to the last command that authenticated since the last answer, to be published on the
// answer topic with QoS 1, not retained. A command that was refused is answered with its error,
// a replayed one not at all. Answering is optional; C2 then knows less.
//
// E4_OK: publish it. E4_OK_NONE: none is due. E4_ERROR_CLOCK_UNKNOWN, errors of the storage: none
// was made; ask again.
E4_NODISCARD int32_t e4_answer(e4_client *client, uint64_t now, uint8_t answer[E4_ANSWER_LEN]);

// A "hello", published like an answer: a client that has lost its way, or has just connected,
// asks C2 to be brought up to date.
//
// E4_ERROR_CLOCK_UNKNOWN, errors of the storage.
E4_NODISCARD int32_t e4_hello(const e4_client *client, uint64_t now, uint8_t answer[E4_ANSWER_LEN]);

/* Storage in memory ----------------------------------------------------------------------------- */

// A storage in RAM: gone with it, so for clients that are provisioned at every start, and for
// tests. It fills in storage for an e4_config.
//
// bytes, of E4_MEMORY_SIZE(keys) bytes or more for that many keys, and memory must live as long as
// a client uses the storage. What bytes holds is taken as records: start with zero bytes. When a
// place for another key is missing, a command gives E4_ERROR_STORAGE_FULL. The records hold
// secret keys: wipe bytes when it is no longer needed.
//
// E4_ERROR_BUFFER_TOO_SMALL if there is no room for one client without keys.
E4_NODISCARD
int32_t e4_memory_storage(e4_memory *memory,
                          uint8_t *bytes,
                          size_t len,
                          e4_storage *storage);

/* Storage in a file (on hosts) ------------------------------------------------------------------ */

// Opens a state file (on hosts) and sets *file, which is NULL after an error. A file that does not
// exist is created by the first write, with mode 0600. Every write makes a new file and renames
// it, so that a power cut leaves the old one or the new one.
//
// E4_ERROR_STATE_INCOMPATIBLE if it is not a state file; E4_ERROR_STORAGE if the file system
// refuses it, or another client has it open; E4_ERROR_INVALID_PARAMETER, also for a path that is
// empty or not UTF-8.
E4_NODISCARD int32_t e4_file_open(const char *path, size_t path_len, e4_file **file);

// Fills in storage for an e4_config with a state file (on hosts).
E4_NODISCARD int32_t e4_file_storage(e4_file *file, e4_storage *storage);

// Closes a state file (on hosts), after the client that used it. NULL is ignored.
void e4_file_close(e4_file *file);

/* Names, ids and topics ------------------------------------------------------------------------- */

// The id of a client that has a name, of 1 to 255 bytes: the start of SHA3-256 of the name.
//
// E4_ERROR_INVALID_NAME.
E4_NODISCARD int32_t e4_id_from_name(const char *name, size_t name_len, uint8_t id[E4_ID_LEN]);

// A random id for a new client (on hosts).
//
// E4_ERROR_RANDOMNESS.
E4_NODISCARD int32_t e4_random_id(uint8_t id[E4_ID_LEN]);

// The control topic of any client, with a NUL; see e4_control_topic.
E4_NODISCARD
int32_t e4_control_topic_of(const uint8_t id[E4_ID_LEN],
                            char topic[E4_CONTROL_TOPIC_LEN + 1]);

// The answer topic of any client, with a NUL; see e4_answer_topic.
E4_NODISCARD
int32_t e4_answer_topic_of(const uint8_t id[E4_ID_LEN],
                           char topic[E4_ANSWER_TOPIC_LEN + 1]);

// Which client an answer topic belongs to.
//
// E4_ERROR_INVALID_TOPIC if it is not an answer topic.
E4_NODISCARD
int32_t e4_id_from_answer_topic(const char *topic,
                                size_t topic_len,
                                uint8_t id[E4_ID_LEN]);

// The hash of a topic, of 1 to 65535 bytes: the start of its SHA3-256.
//
// E4_ERROR_INVALID_TOPIC.
E4_NODISCARD
int32_t e4_topic_hash(const char *topic,
                      size_t topic_len,
                      uint8_t hash[E4_TOPIC_HASH_LEN]);

// Whether C2 should make a key for a topic: E4_OK, or E4_ERROR_INVALID_TOPIC for one that holds
// '+', '#' or NUL, starts with '$', or is "e4" or below "e4/".
E4_NODISCARD int32_t e4_check_topic(const char *topic, size_t topic_len);

/* Keys, for C2 ---------------------------------------------------------------------------------- */

// Wipes memory in a way that a compiler does not leave out; for keys and plaintexts that are no
// longer needed. E4_ERROR_INVALID_PARAMETER for NULL with a length.
int32_t e4_wipe(uint8_t *bytes, size_t len);

// A random symmetric key, of a topic or a client (on hosts).
//
// E4_ERROR_RANDOMNESS.
E4_NODISCARD int32_t e4_random_key(uint8_t key[E4_KEY_LEN]);

// The id key of a symmetric-key client that has a password, of 16 bytes or more (on hosts); see
// e4_provision_symmetric_password.
//
// E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
E4_NODISCARD
int32_t e4_key_from_password(const char *password,
                             size_t password_len,
                             uint8_t key[E4_KEY_LEN]);

// A random Ed25519 private key for a public-key client (on hosts, in public-key mode).
//
// E4_ERROR_RANDOMNESS.
E4_NODISCARD int32_t e4_random_private_key(uint8_t private_key[E4_PRIVATE_KEY_LEN]);

// The Ed25519 private key of a public-key client that has a password, of 16 bytes or more (on
// hosts, in public-key mode).
//
// E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
E4_NODISCARD
int32_t e4_private_key_from_password(const char *password,
                                     size_t password_len,
                                     uint8_t private_key[E4_PRIVATE_KEY_LEN]);

// The Ed25519 private key of a seed (in public-key mode), for a device that has its own
// randomness. The seed must not be all zero.
//
// E4_ERROR_INVALID_KEY.
E4_NODISCARD
int32_t e4_private_key_from_seed(const uint8_t seed[E4_KEY_LEN],
                                 uint8_t private_key[E4_PRIVATE_KEY_LEN]);

// The Ed25519 public key of a private key (in public-key mode).
//
// E4_ERROR_INVALID_KEY if the halves of the private key do not match.
E4_NODISCARD
int32_t e4_public_key_of(const uint8_t private_key[E4_PRIVATE_KEY_LEN],
                         uint8_t public_key[E4_KEY_LEN]);

// The X25519 public key of C2's private key (in public-key mode). Any 32 random bytes are a
// private key: e4_random_key makes one.
//
// E4_ERROR_INVALID_KEY if it is all zero.
E4_NODISCARD
int32_t e4_c2_public_key_of(const uint8_t c2_private_key[E4_KEY_LEN],
                            uint8_t c2_public_key[E4_KEY_LEN]);

// The key that C2 shares with a public-key client (in public-key mode): of C2's X25519 private key
// and the client's Ed25519 public key. It costs a scalar multiplication: compute it once and keep
// it, in secret, until either key changes.
//
// E4_ERROR_INVALID_KEY.
E4_NODISCARD
int32_t e4_shared_key(const uint8_t c2_private_key[E4_KEY_LEN],
                      const uint8_t public_key[E4_KEY_LEN],
                      uint8_t shared_key[E4_KEY_LEN]);

// Checks an X25519 public key of C2 before it is sent or stored (in public-key mode).
//
// E4_ERROR_INVALID_KEY if it is of small order.
E4_NODISCARD int32_t e4_check_c2_public_key(const uint8_t c2_public_key[E4_KEY_LEN]);

/* Commands and answers, for C2 ------------------------------------------------------------------ */

// Builds a command and protects it for one client, to be published on the client's control topic
// with QoS 2 (or 1), not retained. This one makes the client forget the key of a topic.
//
// For all the functions e4_command_...: command_key is the id key of a symmetric-key client, or
// what e4_shared_key gives for a public-key client. now is C2's clock; the commands of one client
// must be stamped in non-decreasing order, and an e4go client refuses one second ahead of its
// own clock. out needs E4_COMMAND_MAX bytes at most.
//
// E4_ERROR_BUFFER_TOO_SMALL; E4_ERROR_INVALID_KEY for a key that a client would refuse;
// E4_ERROR_INVALID_PARAMETER, also for E4_NO_CLOCK.
E4_NODISCARD
int32_t e4_command_remove_topic(const uint8_t command_key[E4_KEY_LEN],
                                uint64_t now,
                                const uint8_t topic_hash[E4_TOPIC_HASH_LEN],
                                uint8_t *out,
                                size_t out_cap,
                                size_t *out_len);

// Makes the client forget the keys of all topics.
E4_NODISCARD
int32_t e4_command_reset_topics(const uint8_t command_key[E4_KEY_LEN],
                                uint64_t now,
                                uint8_t *out,
                                size_t out_cap,
                                size_t *out_len);

// Replaces the id key of a symmetric-key client by another one.
E4_NODISCARD
int32_t e4_command_set_id_key(const uint8_t command_key[E4_KEY_LEN],
                              uint64_t now,
                              const uint8_t new_key[E4_KEY_LEN],
                              uint8_t *out,
                              size_t out_cap,
                              size_t *out_len);

// Replaces the Ed25519 private key of a public-key client by another one (in public-key mode).
E4_NODISCARD
int32_t e4_command_set_private_key(const uint8_t command_key[E4_KEY_LEN],
                                   uint64_t now,
                                   const uint8_t new_private_key[E4_PRIVATE_KEY_LEN],
                                   uint8_t *out,
                                   size_t out_cap,
                                   size_t *out_len);

// Gives the client the key of a topic, or another one. The replaced key opens messages for another
// hour.
E4_NODISCARD
int32_t e4_command_set_topic_key(const uint8_t command_key[E4_KEY_LEN],
                                 uint64_t now,
                                 const uint8_t topic_hash[E4_TOPIC_HASH_LEN],
                                 const uint8_t topic_key[E4_KEY_LEN],
                                 uint8_t *out,
                                 size_t out_cap,
                                 size_t *out_len);

// Makes a public-key client forget the public key of another client (in public-key mode).
E4_NODISCARD
int32_t e4_command_remove_pub_key(const uint8_t command_key[E4_KEY_LEN],
                                  uint64_t now,
                                  const uint8_t id[E4_ID_LEN],
                                  uint8_t *out,
                                  size_t out_cap,
                                  size_t *out_len);

// Makes a public-key client forget the public keys of all other clients (in public-key mode).
E4_NODISCARD
int32_t e4_command_reset_pub_keys(const uint8_t command_key[E4_KEY_LEN],
                                  uint64_t now,
                                  uint8_t *out,
                                  size_t out_cap,
                                  size_t *out_len);

// Gives a public-key client the Ed25519 public key of another client (in public-key mode), whose
// messages it then reads.
E4_NODISCARD
int32_t e4_command_set_pub_key(const uint8_t command_key[E4_KEY_LEN],
                               uint64_t now,
                               const uint8_t id[E4_ID_LEN],
                               const uint8_t public_key[E4_KEY_LEN],
                               uint8_t *out,
                               size_t out_cap,
                               size_t *out_len);

// Gives a public-key client another public key of C2 (in public-key mode). The next command must be
// protected under the shared key that follows from it.
E4_NODISCARD
int32_t e4_command_set_c2_key(const uint8_t command_key[E4_KEY_LEN],
                              uint64_t now,
                              const uint8_t c2_public_key[E4_KEY_LEN],
                              uint8_t *out,
                              size_t out_cap,
                              size_t *out_len);

// Opens what a client published on its answer topic. While a client may hold one of several keys,
// try each: the one that opens the answer is the one it holds.
//
// E4_ERROR_MESSAGE_TOO_SHORT; E4_ERROR_INVALID_TAG if it is not an answer under this key;
// E4_ERROR_STATE_INCOMPATIBLE for a version of answers that is not known. *info is then zero.
E4_NODISCARD
int32_t e4_open_answer(const uint8_t command_key[E4_KEY_LEN],
                       const uint8_t *answer,
                       size_t answer_len,
                       e4_answer_info *info);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* E4_H */
