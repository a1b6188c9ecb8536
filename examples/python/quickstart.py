# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Two devices and their key script in one process, without a broker."""

import e4

TOPIC = "plant/pressure"

# What is done once for each device: a key that it shares with the key script.
id_keys = {"pump": e4.IdKey.random(), "gauge": e4.IdKey.random()}
devices = {name: e4.Client.provision(name, key) for name, key in id_keys.items()}

# The key script: one key for the topic, one protected command for each device.
command = e4.Command.set_topic_key(TOPIC, e4.TopicKey.random())
for name, device in devices.items():
    protected = command.protect_for(id_keys[name])
    print(name, device.unprotect(device.control_topic, protected))

# From now on they talk in secret.
message = devices["gauge"].protect(TOPIC, b"4.2 bar")
match devices["pump"].unprotect(TOPIC, message):
    case e4.Message(plaintext):
        print("pump reads", plaintext.decode())
    case e4.CommandApplied():
        pass
