-- Who may call, and what was done under an idempotency key.

-- Kind: 1 a bearer token (its SHA3-256), 2 a client certificate (SHA3-256 of its DER). Role: as in
-- the interface.
CREATE TABLE tokens (
  id         BIGINT PRIMARY KEY,
  name       TEXT   NOT NULL,
  kind       BIGINT NOT NULL,
  hash       BYTEA  NOT NULL,
  role       BIGINT NOT NULL,
  messages   BIGINT NOT NULL,
  made_at    BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE UNIQUE INDEX tokens_name ON tokens (name);
CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
INSERT INTO counters (name, last) VALUES ('tokens', 0);

-- Results are sealed: keys that were made are among them.
CREATE TABLE batches (
  id      BIGINT PRIMARY KEY,
  name    TEXT   NOT NULL,
  actor   TEXT   NOT NULL,
  digest  BYTEA  NOT NULL,
  results BYTEA  NOT NULL,
  made_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX batches_name ON batches (actor, name);
CREATE INDEX batches_made_at ON batches (made_at);
INSERT INTO counters (name, last) VALUES ('batches', 0);
