-- Labels, rotations that lose nothing, rotation policies and campaigns.

-- Stage of a rotation: 0 none, 1 clients that only receive get the newest key and the others still
-- the one before, 2 the others get the newest as well. Until: when the stage ends at the latest.
ALTER TABLE topics ADD COLUMN stage BIGINT NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN stage_until BIGINT NOT NULL DEFAULT 0;
CREATE INDEX topics_stage ON topics (stage_until) WHERE stage <> 0;
-- Whether the client only receives on the topic.
ALTER TABLE holdings ADD COLUMN receives BIGINT NOT NULL DEFAULT 0;

-- Clients that joined and left a topic, topics that a client joined and left, ever.
ALTER TABLE topics ADD COLUMN joins BIGINT NOT NULL DEFAULT 0;
ALTER TABLE topics ADD COLUMN leaves BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN joins BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN leaves BIGINT NOT NULL DEFAULT 0;

-- Kind: 1 a topic, 2 a client; subject: its row.
CREATE TABLE labels (
  kind    BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  name    TEXT   NOT NULL,
  value   TEXT   NOT NULL,
  PRIMARY KEY (kind, subject, name)
);
CREATE INDEX labels_value ON labels (kind, name, value, subject);

-- Rules by which keys rotate. Spec: targets, triggers and how a run goes, as JSON.
CREATE TABLE policies (
  id      BIGINT PRIMARY KEY,
  name    TEXT   NOT NULL,
  spec    TEXT   NOT NULL,
  paused  BIGINT NOT NULL,
  made_at BIGINT NOT NULL,
  next_at BIGINT,
  last_at BIGINT,
  runs    BIGINT NOT NULL
);
CREATE UNIQUE INDEX policies_name ON policies (name);
CREATE INDEX policies_next_at ON policies (next_at) WHERE next_at IS NOT NULL;
INSERT INTO counters (name, last) VALUES ('policies', 0);

-- How many had joined and left a subject when a policy last rotated its key.
CREATE TABLE policy_marks (
  policy  BIGINT NOT NULL,
  kind    BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  joins   BIGINT NOT NULL,
  leaves  BIGINT NOT NULL,
  PRIMARY KEY (policy, kind, subject)
);

-- Runs of policies. State: 1 running, 2 paused, 3 stopped because too many failed, 4 finished,
-- 5 cancelled. Next: when something of it is due. What failed before it was resumed does not count.
CREATE TABLE campaigns (
  id       BIGINT PRIMARY KEY,
  policy   BIGINT NOT NULL,
  name     TEXT   NOT NULL,
  spec     TEXT   NOT NULL,
  state    BIGINT NOT NULL,
  why      TEXT,
  made_at  BIGINT NOT NULL,
  resumed_at BIGINT NOT NULL,
  ended_at BIGINT,
  next_at  BIGINT
);
CREATE INDEX campaigns_policy ON campaigns (policy, id);
CREATE INDEX campaigns_next_at ON campaigns (next_at) WHERE next_at IS NOT NULL;
INSERT INTO counters (name, last) VALUES ('campaigns', 0);

-- The keys that a campaign rotates, in their order. State: 0 waiting, 1 rotated, 2 confirmed,
-- 3 failed, 4 gone before its turn.
CREATE TABLE campaign_items (
  campaign BIGINT NOT NULL,
  position BIGINT NOT NULL,
  kind     BIGINT NOT NULL,
  subject  BIGINT NOT NULL,
  canary   BIGINT NOT NULL,
  state    BIGINT NOT NULL,
  epoch    BIGINT NOT NULL,
  begun_at BIGINT,
  ended_at BIGINT,
  why      TEXT,
  PRIMARY KEY (campaign, position)
);
CREATE INDEX campaign_items_state ON campaign_items (campaign, state, position);
