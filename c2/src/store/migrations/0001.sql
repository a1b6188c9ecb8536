-- The first schema. Words that SQLite and PostgreSQL share: numbers are BIGINT (times in
-- milliseconds, stamps in seconds), bytes BYTEA, names TEXT compared by their bytes.

CREATE TABLE meta (name TEXT PRIMARY KEY, value BYTEA NOT NULL);

CREATE TABLE counters (name TEXT PRIMARY KEY, last BIGINT NOT NULL);

CREATE TABLE clients (
  id            BIGINT PRIMARY KEY,
  e4_id         BYTEA  NOT NULL,
  name          TEXT   NOT NULL,
  removed       BIGINT NOT NULL,
  made_at       BIGINT NOT NULL,
  key_epoch     BIGINT NOT NULL,
  key_confirmed BIGINT NOT NULL,
  key_handed    BIGINT NOT NULL,
  key_tries     BIGINT NOT NULL,
  c2_confirmed  BIGINT NOT NULL,
  c2_handed     BIGINT NOT NULL,
  c2_tries      BIGINT NOT NULL,
  answers       BIGINT NOT NULL,
  answered      BIGINT NOT NULL,
  answer_siv    BYTEA,
  seen_at       BIGINT,
  stamp         BIGINT NOT NULL,
  reset         BIGINT NOT NULL,
  drift         BIGINT NOT NULL,
  due_at        BIGINT,
  trouble       TEXT
);
CREATE UNIQUE INDEX clients_name ON clients (name) WHERE removed = 0;
CREATE UNIQUE INDEX clients_e4_id ON clients (e4_id) WHERE removed = 0;
CREATE INDEX clients_due ON clients (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX clients_trouble ON clients (name) WHERE trouble IS NOT NULL AND removed = 0;

CREATE TABLE client_keys (
  client  BIGINT NOT NULL,
  epoch   BIGINT NOT NULL,
  public  BYTEA,
  sealed  BYTEA,
  made_at BIGINT NOT NULL,
  PRIMARY KEY (client, epoch)
);

CREATE TABLE c2_keys (
  epoch   BIGINT PRIMARY KEY,
  public  BYTEA  NOT NULL,
  sealed  BYTEA  NOT NULL,
  made_at BIGINT NOT NULL
);

CREATE TABLE topics (
  id      BIGINT PRIMARY KEY,
  hash    BYTEA  NOT NULL,
  name    TEXT   NOT NULL,
  removed BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  epoch   BIGINT NOT NULL
);
CREATE UNIQUE INDEX topics_hash ON topics (hash) WHERE removed = 0;
-- For lists. PostgreSQL has no room for whole topics of 64 KiB in an index.
CREATE INDEX topics_name ON topics ((substr(name, 1, 400))) WHERE removed = 0;

CREATE TABLE topic_keys (
  topic   BIGINT NOT NULL,
  epoch   BIGINT NOT NULL,
  sealed  BYTEA  NOT NULL,
  print   BYTEA  NOT NULL,
  made_at BIGINT NOT NULL,
  PRIMARY KEY (topic, epoch)
);

-- What a client should hold of a topic (kind 1) or of another client (kind 2). Wish: 0 nothing,
-- -1 the topic's newest key, else the epoch of the public key.
CREATE TABLE holdings (
  client     BIGINT NOT NULL,
  kind       BIGINT NOT NULL,
  subject    BIGINT NOT NULL,
  wish       BIGINT NOT NULL,
  sent       BIGINT NOT NULL,
  handed     BIGINT NOT NULL,
  confirmed  BIGINT NOT NULL,
  failed     BIGINT NOT NULL,
  siv        BYTEA,
  stamp      BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  tries      BIGINT NOT NULL,
  PRIMARY KEY (client, kind, subject)
);
CREATE INDEX holdings_subject ON holdings (kind, subject, client);

CREATE TABLE links (
  target BIGINT NOT NULL,
  source BIGINT NOT NULL,
  PRIMARY KEY (target, source)
);
CREATE INDEX links_source ON links (source, target);

-- Changes that concern many clients, and how far the clients were told to look (by row).
CREATE TABLE fanouts (
  id      BIGINT PRIMARY KEY,
  kind    BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  done_to BIGINT NOT NULL
);

CREATE TABLE audit (
  seq    BIGINT PRIMARY KEY,
  at     BIGINT NOT NULL,
  actor  TEXT   NOT NULL,
  origin TEXT   NOT NULL,
  action TEXT   NOT NULL,
  detail TEXT   NOT NULL,
  mac    BYTEA  NOT NULL
);
