//! A server in this process: every policy of ours, anonymous, user name and certificate.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opcua::crypto::{PrivateKey, SecurityPolicy as Policy, X509, X509Data};
use opcua::server::address_space::{AddressSpace, VariableBuilder};
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, Limits, ServerBuilder, ServerUserToken};
use opcua::types::{
    DataTypeId, DateTime, EUInformation, ExtensionObject, MessageSecurityMode as Mode, NodeId,
    QualifiedName, Range, ReferenceTypeId, Variant,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::DropGuard;

use crate::config::model::{Fingerprint, Identity, Secret, Security, Server};
use crate::field::opcua::Own;
use crate::field::opcua::certificate::Certificate;

/// The namespace of the server's own nodes.
pub(super) const DATA: &str = "urn:peer:data";

/// Variables in one folder: more than come in one answer.
pub(super) const MANY: usize = 600;

/// Variables in another.
pub(super) const PARTS: usize = 150;

/// How long a step may take on a busy machine.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// Certificates and keys, made once a process: they take a while.
pub(super) struct Pairs {
    pub directory: TempDir,
}

impl Pairs {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn der(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(&format!("{name}.der"))).unwrap()
    }

    pub(super) fn fingerprint(&self, name: &str) -> Fingerprint {
        Certificate::read(&self.der(name)).unwrap().fingerprint
    }

    fn make(&self, name: &str, days: u32) {
        let key = PrivateKey::new(2048).unwrap();
        let data = X509Data {
            key_size: 2048,
            common_name: name.to_owned(),
            organization: String::new(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: X509Data::alt_host_names("urn:peer", None, true, false, false),
            certificate_duration_days: days,
        };
        let certificate = X509::from_pkey(&key, &data).unwrap();
        let der = key.to_der().unwrap();
        let pem = der.to_pem("PRIVATE KEY", Default::default()).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), pem.as_bytes()).unwrap();
        let der = certificate.to_der().unwrap();
        std::fs::write(self.path(&format!("{name}.der")), der).unwrap();
    }
}

pub(super) fn pairs() -> &'static Pairs {
    static PAIRS: OnceLock<Pairs> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let pairs = Pairs {
            directory: tempfile::tempdir().unwrap(),
        };
        pairs.make("peer", 30);
        pairs.make("user", 30);
        pairs.make("impostor", 30);
        pairs
    })
}

/// A running server; it ends with this.
pub(super) struct Peer {
    pub port: u16,
    _pki: TempDir,
    _guard: DropGuard,
}

impl Peer {
    /// A server that trusts any client, or none.
    pub(super) async fn start(trusting: bool) -> Self {
        Self::known_as("peer", trusting).await
    }

    /// A server that goes on with one list at a time.
    pub(super) async fn start_forgetful() -> Self {
        Self::start_as("peer", true, |limits| {
            limits.max_browse_continuation_points = 1
        })
        .await
    }

    /// A server with this certificate.
    pub(super) async fn known_as(certificate: &str, trusting: bool) -> Self {
        Self::start_as(certificate, trusting, |_| ()).await
    }

    async fn start_as(certificate: &str, trusting: bool, limit: impl FnOnce(&mut Limits)) -> Self {
        let pki = tempfile::tempdir().unwrap();
        let pairs = tokio::task::spawn_blocking(pairs).await.unwrap();
        let tokens = [ANONYMOUS_USER_TOKEN_ID, "user", "badge"];
        let namespace = NamespaceMetadata {
            namespace_uri: DATA.to_owned(),
            ..NamespaceMetadata::default()
        };
        let mut builder = ServerBuilder::new()
            .application_name("peer")
            .application_uri("urn:peer")
            .product_uri("urn:peer")
            // Not what we ask for: as of a server behind a router.
            .host("press.invalid")
            .pki_dir(pki.path())
            .certificate_path(pairs.path(&format!("{certificate}.der")))
            .private_key_path(pairs.path(&format!("{certificate}.pem")))
            .trust_client_certs(trusting)
            .with_node_manager(simple_node_manager(namespace, "data"))
            .add_user_token("user", ServerUserToken::user_pass("lina", "secret"))
            .add_user_token(
                "badge",
                ServerUserToken::x509("badge", &pairs.path("user.der")),
            );
        for (name, policy, mode) in [
            ("none", Policy::None, Mode::None),
            ("sign", Policy::Basic256Sha256, Mode::Sign),
            ("basic", Policy::Basic256Sha256, Mode::SignAndEncrypt),
            ("aes128", Policy::Aes128Sha256RsaOaep, Mode::SignAndEncrypt),
            ("aes256", Policy::Aes256Sha256RsaPss, Mode::SignAndEncrypt),
        ] {
            builder = builder.add_endpoint(name, ("/", policy, mode, &tokens[..]));
        }
        limit(builder.limits_mut());
        Self::run(builder, pki).await
    }

    async fn run(builder: ServerBuilder, pki: TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = format!("opc.tcp://press.invalid:{port}/");
        let (server, handle) = builder.discovery_urls(vec![url]).build().unwrap();
        let data = handle.node_managers().get_of_type::<SimpleNodeManager>();
        let index = handle.get_namespace_index(DATA).unwrap();
        fill(&mut data.unwrap().address_space().write(), index);
        tokio::spawn(server.run_with(listener));
        Self {
            port,
            _pki: pki,
            _guard: handle.token().clone().drop_guard(),
        }
    }

    pub(super) fn server(&self, security: Security, identity: Identity) -> Server {
        Server {
            url: format!("opc.tcp://127.0.0.1:{}/", self.port),
            security,
            identity,
            timeout: TIMEOUT,
            history: false,
        }
    }
}

/// Everything that a walk has to cope with.
fn fill(space: &mut AddressSpace, ns: u16) {
    let id = |name: &str| NodeId::new(ns, name);
    let folder = |space: &mut AddressSpace, name: &str, parent: &NodeId| {
        space.add_folder(&id(name), name, name, parent);
    };
    folder(space, "press", &NodeId::objects_folder_id());
    folder(space, "inner", &id("press"));
    let back = ReferenceTypeId::Organizes;
    space.insert_reference(&id("inner"), &id("press"), back);
    let variable = |name: &str, data_type: DataTypeId, value: Variant| {
        VariableBuilder::new(&id(name), name, name)
            .data_type(data_type)
            .value(value)
    };
    let unit = EUInformation {
        display_name: "bar".into(),
        ..EUInformation::default()
    };
    let range = Range {
        low: 0.0,
        high: 250.0,
    };
    let objects = [
        ("EngineeringUnits", ExtensionObject::from_message(unit)),
        ("EURange", ExtensionObject::from_message(range.clone())),
    ];
    variable("pressure", DataTypeId::Double, 12.5.into())
        .organized_by(id("press"))
        .insert(space);
    for (name, value) in objects {
        VariableBuilder::new(&id(name), QualifiedName::new(0, name), name)
            .data_type(DataTypeId::Structure)
            .value(value)
            .property_of(id("pressure"))
            .insert(space);
    }
    variable("zones", DataTypeId::Double, vec![1.0, 2.0].into())
        .value_rank(1)
        .organized_by(id("inner"))
        .insert(space);
    variable("nothing", DataTypeId::Int32, Variant::Empty)
        .organized_by(id("inner"))
        .insert(space);
    folder(space, "store", &NodeId::objects_folder_id());
    for number in 0..PARTS {
        let name = format!("part{number}");
        variable(&name, DataTypeId::Int16, 7_i16.into())
            .organized_by(id("store"))
            .insert(space);
    }
    let range = ExtensionObject::from_message(range);
    variable("limits", DataTypeId::Range, range.into())
        .organized_by(id("inner"))
        .insert(space);
    variable("clock", DataTypeId::UtcTime, DateTime::null().into())
        .organized_by(id("inner"))
        .insert(space);
    for number in 0..MANY {
        let name = format!("many{number}");
        variable(&name, DataTypeId::Int16, 7_i16.into())
            .organized_by(id("press"))
            .insert(space);
    }
}

/// What the agent is known by, in a directory of its own with a ready certificate.
pub(super) fn own(directory: &Path) -> Own {
    Own {
        directory: directory.to_owned(),
        uri: "urn:lineside:test:gw".to_owned(),
    }
}

pub(super) fn password(password: &str) -> Identity {
    Identity::Password {
        user: "lina".to_owned(),
        password: Secret(password.to_owned()),
    }
}

pub(super) fn badge() -> Identity {
    let key = std::fs::read_to_string(pairs().path("user.pem")).unwrap();
    Identity::Certificate {
        certificate: Arc::from(pairs().der("user")),
        key: Secret(key),
    }
}
