// Run once by the image, on an empty volume: the two users that PariVision knows, each with what it needs.
// Names and passwords are those of the addresses that the services are given, so they stand in one place only.
const fs = require("fs");

const database = db.getSiblingDB("parivision");
const nameAndPassword = (file) => {
  const address = new URL(fs.readFileSync(file, "utf8").trim());
  return { user: decodeURIComponent(address.username), pwd: decodeURIComponent(address.password) };
};

// Builds: read and write shots, make indexes.
database.createUser({
  ...nameAndPassword("/run/secrets/mongodb_uri"),
  roles: [{ role: "readWrite", db: "parivision" }],
});

// The exporter: sizes and the server's own figures. It can change nothing.
database.createUser({
  ...nameAndPassword("/run/secrets/mongodb_exporter_uri"),
  roles: [{ role: "read", db: "parivision" }, { role: "clusterMonitor", db: "admin" }],
});
