//! Who and what is in the demonstration federation, and where it listens.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::files;

/// Everything that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Api(usize),
    Log(usize),
    Admin(usize),
    Metrics(usize),
    /// Identity provider.
    Idp,
    /// The signed directory.
    Directory,
    /// Household register of Jiyuan.
    Provider,
    /// Approval office of Jiyuan.
    Office,
    /// Social security of Jiyuan: plain HTTP.
    System,
}

/// How many ports from the base on are used.
pub const PORTS: u16 = 25;

impl Door {
    /// The map of ports, from the base on.
    ///
    /// ```text
    ///  gateway A: api +0  log +1  admin +2  metrics +3     identity provider +20  directory +21
    ///  gateway B: api +10 log +11 admin +12 metrics +13    provider +22  office +23  system +24
    /// ```
    pub fn offset(self) -> u16 {
        let of = |gateway: usize, door: u16| if gateway == 0 { door } else { 10 + door };
        match self {
            Self::Api(g) => of(g, 0),
            Self::Log(g) => of(g, 1),
            Self::Admin(g) => of(g, 2),
            Self::Metrics(g) => of(g, 3),
            Self::Idp => 20,
            Self::Directory => 21,
            Self::Provider => 22,
            Self::Office => 23,
            Self::System => 24,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Admin(_) | Self::Metrics(_) | Self::System => "http",
            _ => "https",
        }
    }
}

/// A gateway of the demonstration.
#[derive(Debug, PartialEq, Eq)]
pub struct Gateway {
    pub id: &'static str,
    pub name: &'static str,
    pub organisation: &'static str,
    pub division: &'static str,
    pub slot: u16,
}

/// A in Shenzhen, B in Jiyuan.
pub const GATEWAYS: [Gateway; 2] = [
    Gateway {
        id: "gw-440305",
        name: "深圳市南山区政务服务网关（演示）",
        organisation: "深圳市南山区政务服务中心（演示）",
        division: "440305",
        slot: 1,
    },
    Gateway {
        id: "gw-419001",
        name: "济源市政务服务网关（演示）",
        organisation: "济源市政务服务中心（演示）",
        division: "419001",
        slot: 2,
    },
];
pub const A: usize = 0;
pub const B: usize = 1;

/// Operators of each gateway, who sign orders: `authorities/ID.key` beside its configuration.
pub const OPERATORS: [&str; 2] = ["op-1", "op-2"];

/// What kind of client a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    Window,
    Outlet,
    Department,
    Auditor,
}

/// A client of a gateway, known by its certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Client {
    pub id: &'static str,
    pub name: &'static str,
    pub kind: ClientKind,
    pub gateway: usize,
    /// Where it stands.
    pub region: &'static str,
    /// The URI in its certificate.
    pub uri: &'static str,
}

pub const WINDOW: &str = "W-440305-01";
pub const TOWN_WINDOW: &str = "W-419001-02";
pub const OUTLET: &str = "bank-440305-01";
/// An outlet whose daily quota is small, so that one sees it used up.
pub const SMALL_OUTLET: &str = "bank-440305-02";
pub const OFFICE: &str = "office-419001";
pub const BUREAU: &str = "bureau-440305";

pub const CLIENTS: [Client; 9] = [
    Client {
        id: WINDOW,
        name: "南山区政务服务中心跨省通办窗口",
        kind: ClientKind::Window,
        gateway: A,
        region: "440305",
        uri: "urn:tongban:window:W-440305-01",
    },
    Client {
        id: "W-419001-01",
        name: "济源市政务服务中心综合窗口",
        kind: ClientKind::Window,
        gateway: B,
        region: "419001",
        uri: "urn:tongban:window:W-419001-01",
    },
    // A case can be filed here for a household of another town.
    Client {
        id: TOWN_WINDOW,
        name: "济源市克井镇便民服务中心窗口",
        kind: ClientKind::Window,
        gateway: B,
        region: "419001100000",
        uri: "urn:tongban:window:W-419001-02",
    },
    Client {
        id: OUTLET,
        name: "示范银行南山支行",
        kind: ClientKind::Outlet,
        gateway: A,
        region: "440305",
        uri: "urn:tongban:outlet:bank-440305-01:t1",
    },
    Client {
        id: SMALL_OUTLET,
        name: "示范银行南山第二支行",
        kind: ClientKind::Outlet,
        gateway: A,
        region: "440305",
        uri: "urn:tongban:outlet:bank-440305-02:t1",
    },
    Client {
        id: OFFICE,
        name: "济源市审批系统（演示）",
        kind: ClientKind::Department,
        gateway: B,
        region: "419001",
        uri: "urn:tongban:system:office-419001",
    },
    // Entrusts the bank outlets of Nanshan.
    Client {
        id: BUREAU,
        name: "南山区政务服务和数据管理局系统（演示）",
        kind: ClientKind::Department,
        gateway: A,
        region: "440305",
        uri: "urn:tongban:system:bureau-440305",
    },
    // Read the entries of the logs, each of its own gateway's.
    Client {
        id: "audit-440305",
        name: "广东省审计人员（演示）",
        kind: ClientKind::Auditor,
        gateway: A,
        region: "440000",
        uri: "urn:tongban:auditor:audit-440305",
    },
    Client {
        id: "audit-419001",
        name: "河南省审计人员（演示）",
        kind: ClientKind::Auditor,
        gateway: B,
        region: "410000",
        uri: "urn:tongban:auditor:audit-419001",
    },
];

impl ClientKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Outlet => "outlet",
            Self::Department => "department",
            Self::Auditor => "auditor",
        }
    }
}

impl Client {
    pub fn of(id: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|c| c.id == id)
    }
}

/// The departments of Jiyuan behind gateway B (`authorities-demo.csv`).
pub const POLICE_B: &str = "11419001DT00001826";
pub const POLICE_B_NAME: &str = "济源市公安部门(演示)";
pub const SOCIAL_SECURITY_B: &str = "11419001DT0000211H";
/// The host name of its own under which its system is reached through the gateway, beside the path.
pub const SOCIAL_SECURITY_HOST: &str = "social-security.jiyuan.example";

/// The department of Nanshan that entrusts outlets.
pub const BUREAU_A: &str = "11440305DT0000350E";

const ANNOUNCEMENT: &str = "federation.json";

/// Name of the federation.
pub const FEDERATION: &str = "tongban-demo";

/// The demonstration federation as laid into a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    pub folder: PathBuf,
    pub port_base: u16,
    /// `postgres://…` where the gateways keep their records in one PostgreSQL; SQLite files otherwise.
    pub store: Option<String>,
}

impl World {
    /// The world of the demonstration that runs in `folder`, or ran there last.
    ///
    /// # Errors
    /// A sentence, when there is none or its `federation.json` cannot be read.
    pub fn open(folder: &Path) -> Result<Self, String> {
        let file = folder.join(ANNOUNCEMENT);
        let bytes = files::read(&file)?
            .ok_or_else(|| files::said(&file, "no demonstration is ready here; run `tongban demo` first"))?;
        let told: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| files::said(&file, e))?;
        let port_base = told["port_base"].as_u64().and_then(|p| u16::try_from(p).ok());
        Ok(Self {
            folder: folder.to_owned(),
            port_base: port_base.ok_or_else(|| files::said(&file, "no port_base"))?,
            store: told["store"].as_str().map(str::to_owned),
        })
    }

    pub fn address(&self, door: Door) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port_base.saturating_add(door.offset())).into()
    }

    pub fn url(&self, door: Door) -> String {
        format!("{}://{}", door.scheme(), self.address(door))
    }

    /// Keys and certificates of the operator, the authorities and the identity provider.
    pub fn federation(&self) -> PathBuf {
        self.folder.join("federation")
    }

    pub fn gateway(&self, gateway: usize) -> PathBuf {
        self.folder.join(GATEWAYS[gateway].id)
    }

    /// The configuration that `tongban serve` starts from.
    pub fn config(&self, gateway: usize) -> PathBuf {
        self.gateway(gateway).join("tongban.toml")
    }

    /// Certificate chain and key of a client.
    pub fn client(&self, id: &str) -> (PathBuf, PathBuf) {
        let folder = self.folder.join("clients");
        (folder.join(format!("{id}.pem")), folder.join(format!("{id}.key")))
    }

    /// TLS anchors of a gateway's API and log.
    pub fn tls_anchors(&self, gateway: usize) -> PathBuf {
        self.gateway(gateway).join("authorities/tls.pem")
    }

    /// TLS anchors of what stands behind gateway B, and issuer of its clients.
    pub fn client_anchors(&self, gateway: usize) -> PathBuf {
        self.gateway(gateway).join("authorities/clients.pem")
    }

    /// TLS anchors of the identity provider and of the directory.
    pub fn service_anchors(&self) -> PathBuf {
        self.federation().join("services-ca.pem")
    }

    /// What a gateway's process says: standard output and error.
    pub fn gateway_log(&self, gateway: usize) -> PathBuf {
        self.gateway(gateway).join("gateway.log")
    }

    /// Where everything is, for outside programs; there while the demonstration is ready.
    pub fn announcement(&self) -> PathBuf {
        self.folder.join(ANNOUNCEMENT)
    }

    pub fn directory(&self) -> PathBuf {
        self.folder.join("federation.jws")
    }

    /// Whom to trust for the papers of this federation: `tongban verify --policy`.
    pub fn trust(&self) -> PathBuf {
        self.folder.join("trust.toml")
    }

    /// Copies of a case's papers, as the window has them.
    pub fn papers(&self, case: &str) -> PathBuf {
        self.folder.join("papers").join(case)
    }

    /// What the office system remembers.
    pub fn office(&self) -> PathBuf {
        self.folder.join("office")
    }

    /// The `iss` of the identity provider.
    pub fn issuer(&self) -> String {
        self.url(Door::Idp)
    }

    /// Makes the gateways' schemas where their records are in one PostgreSQL; once, and again without effect.
    pub async fn make_schemas(&self) -> Result<(), String> {
        use sqlx::{Connection, Executor};
        let Some(url) = &self.store else { return Ok(()) };
        // The address may hold a password: it is not repeated in what is told.
        let told = |e: sqlx::Error| format!("the store of the demonstration: {e}");
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(url).await.map_err(told)?;
        for gateway in 0..GATEWAYS.len() {
            let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", schema(gateway));
            connection.execute(sqlx::AssertSqlSafe(sql)).await.map_err(told)?;
        }
        connection.close().await.map_err(told)
    }

    /// Where a gateway keeps its records: a SQLite file beside its configuration, or a schema of its own.
    pub fn store_of(&self, gateway: usize) -> String {
        match &self.store {
            None => "sqlite:data/store.db".to_owned(),
            Some(url) => {
                let mark = if url.contains('?') { '&' } else { '?' };
                format!("{url}{mark}options=-c%20search_path%3D{}", schema(gateway))
            }
        }
    }
}

/// A gateway's own schema in a common PostgreSQL.
fn schema(gateway: usize) -> String {
    GATEWAYS[gateway].id.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_doors_share_a_port() {
        let mut all = vec![Door::Idp, Door::Directory, Door::Provider, Door::Office, Door::System];
        all.extend([A, B].into_iter().flat_map(|g| [Door::Api(g), Door::Log(g), Door::Admin(g), Door::Metrics(g)]));
        let mut ports: Vec<_> = all.iter().map(|d| d.offset()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), all.len());
        assert!(ports.iter().all(|p| *p < PORTS));
    }

    #[test]
    fn each_gateway_has_its_own_records() {
        let mut world = World { folder: "d".into(), port_base: 1, store: None };
        assert_eq!(world.store_of(A), "sqlite:data/store.db");
        world.store = Some("postgres://u@h/db".into());
        assert_eq!(world.store_of(B), "postgres://u@h/db?options=-c%20search_path%3Dgw_419001");
    }
}
