// An OPC UA server by node-opcua: a server that is not ours. It takes and says what opcua_asyncua.py does, and
// takes the policies Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss, too, signed and encrypted.
// NODE_PATH names the folder where tests/setup.sh has put its packages.
"use strict";
// What the library prints is not for those who read our lines.
const out = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

const fs = require("fs");
const net = require("net");
const path = require("path");
const readline = require("readline");
const { DataType } = require("node-opcua-variant");
const { OPCUAServer, OPCUACertificateManager, MessageSecurityMode, SecurityPolicy } = {
  ...require("node-opcua-server"),
  ...require("node-opcua-certificate-manager"),
  ...require("node-opcua-service-secure-channel"),
  ...require("node-opcua-secure-channel"),
};

const NAMESPACE = "urn:lineside:test";
const settings = JSON.parse(process.argv[2]);
const say = (message) => out(JSON.stringify(message) + "\n");

function freePort(wanted) {
  return new Promise((resolve, reject) => {
    const listener = net.createServer();
    listener.on("error", reject);
    listener.listen(wanted, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

function sameUser(user, password) {
  return user === settings.user && password === settings.password;
}

class Press {
  constructor() {
    this.nodes = [];
    this.moving = true;
    this.services = new Set();
    this.count = Math.floor((Number(fs.readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000) / settings.interval_ms);
  }

  async start() {
    const port = await freePort(settings.port);
    const trust = (name) =>
      new OPCUACertificateManager({
        rootFolder: path.join(settings.dir, name),
        automaticallyAcceptUnknownCertificate: true,
      });
    const { SignAndEncrypt } = MessageSecurityMode;
    const modes = [...new Set(settings.policies.map((policy) => MessageSecurityMode[policy] ?? SignAndEncrypt))];
    const { Basic256Sha256 } = SecurityPolicy;
    const policies = [...new Set(settings.policies.map((policy) => SecurityPolicy[policy] ?? Basic256Sha256))];
    this.server = new OPCUAServer({
      port,
      host: "127.0.0.1",
      hostname: "127.0.0.1",
      serverInfo: { applicationUri: "urn:lineside:test:server" },
      certificateFile: settings.pem,
      privateKeyFile: settings.key,
      serverCertificateManager: trust("pki"),
      userCertificateManager: trust("users"),
      securityModes: modes,
      securityPolicies: policies,
      allowAnonymous: settings.identities.includes("anonymous"),
      userManager: { isValidUser: sameUser },
      isAuditing: false,
      disableDiscovery: true,
      serverCapabilities: { maxSessions: 50 },
      maxConnectionsPerEndpoint: 50,
    });
    await this.server.initialize();
    this.space = this.server.engine.addressSpace.registerNamespace(NAMESPACE);
    this.variable("state", DataType.UInt32, 2);
    this.miss(settings.missing);
    this.server.on("request", (request) => this.services.add(request.constructor.name));
    await this.server.start();
    // Never two counts closer than that, however late the first: a sampling server would skip one.
    const count = () => {
      this.countUp();
      setTimeout(count, settings.interval_ms);
    };
    count();
    say({ listening: port });
  }

  variable(name, dataType, value) {
    const addressSpace = this.server.engine.addressSpace;
    const node = this.space.addVariable({
      organizedBy: addressSpace.rootFolder.objects,
      browseName: name,
      nodeId: `s=${name}`,
      dataType,
    });
    node.setValueFromSource({ dataType, value });
    return node;
  }

  miss(missing) {
    const wanted = settings.nodes - missing;
    while (this.nodes.length > wanted) this.server.engine.addressSpace.deleteNode(this.nodes.pop());
    while (this.nodes.length < wanted) {
      const node = this.variable(`n${this.nodes.length}`, DataType.Double, this.count);
      if (settings.history) this.server.engine.addressSpace.installHistoricalDataNode(node, { maxOnlineValues: 10000 });
      this.nodes.push(node);
    }
  }

  countUp() {
    if (!this.moving) return;
    this.count += 1;
    for (const node of this.nodes) node.setValueFromSource({ dataType: DataType.Double, value: this.count });
  }

  command(message) {
    if ("missing" in message) {
      this.miss(message.missing);
      say({ done: true });
    } else if ("moving" in message) {
      this.moving = message.moving;
      say({ done: true });
    } else if ("sessions" in message) {
      say({ sessions: this.server.engine.currentSessionCount });
    } else if ("services" in message) {
      say({ services: [...this.services].sort() });
    }
  }
}

const press = new Press();
press.start().then(
  () => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.on("line", (line) => press.command(JSON.parse(line)));
    lines.on("close", () => process.exit(0));
  },
  (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  },
);
