//! Entries of encryption keys: key encryption keys (KEKs), which are references to a key management service, and data encryption keys
//! (DEKs), which clients have encrypted. The registry never has a plaintext key, and never calls a key management service.

use std::sync::Arc;

use super::{
    SchemaRegistry,
    find::{self, VersionNumber},
    read::page,
    refusal,
    state::{DekKey, State},
};
use prism_call::{
    Code, Context, Error,
    proto::{
        journal::v1::{Operation, RemoveDek, RemoveKek, operation::Change},
        patterns::schema_registry::v1::{
            CreateDekRequest, CreateKekRequest, Dek, DeleteDekRequest, DeleteKekRequest, GetDekRequest, GetKekRequest, Kek,
            ListDekSubjectsRequest, ListDekVersionsRequest, ListKeksRequest, UndeleteDekRequest, UndeleteKekRequest, UpdateKekRequest,
        },
    },
};
use prism_slot::time;

const ALGORITHMS: [&str; 3] = ["AES128_GCM", "AES256_GCM", "AES256_SIV"];
const DEFAULT_ALGORITHM: &str = "AES256_GCM";
/// Longest text field of an entry, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 10;

impl SchemaRegistry {
    pub(super) async fn list_keks(&self, context: &Context, request: ListKeksRequest) -> Result<Vec<String>, Error> {
        let ListKeksRequest { subject_prefixes, deleted, offset, limit } = request;
        self.journal
            .read_fresh(context, |state| {
                let serves = |kek: &Kek| {
                    let mut deks = state.deks.keys().filter(|(name, _, _)| *name == kek.name);
                    subject_prefixes.is_empty()
                        || deks.any(|(_, subject, _)| subject_prefixes.iter().any(|prefix| subject.starts_with(prefix)))
                };
                let keks = state.keks.values().filter(|kek| (deleted || !kek.deleted) && serves(kek));
                page(keks.map(|kek| kek.name.clone()), offset, limit).collect()
            })
            .await
    }

    pub(super) async fn get_kek(&self, context: &Context, request: GetKekRequest) -> Result<Kek, Error> {
        self.journal.read_fresh(context, |state| find_kek(state, &request.name, request.deleted).cloned()).await?
    }

    pub(super) async fn create_kek(self: &Arc<Self>, context: &Context, request: CreateKekRequest) -> Result<Kek, Error> {
        let mut wanted = request.kek.ok_or_else(|| Error::invalid("kek", "is missing"))?;
        for (field, value) in [("kek.name", &wanted.name), ("kek.kms_type", &wanted.kms_type), ("kek.kms_key_id", &wanted.kms_key_id)] {
            check_text(field, value)?;
        }
        wanted.deleted = false;
        self.journal
            .change(context, |state| {
                match state.keks.get(&wanted.name) {
                    Some(known) if known.deleted => return Err(soft_deleted(&wanted.name)),
                    Some(known) => {
                        let same = Kek { update_time: wanted.update_time, ..known.clone() } == wanted;
                        return if same { Ok((Vec::new(), known.clone())) } else { Err(exists(&wanted.name)) };
                    }
                    None => {}
                }
                let kek = Kek { update_time: Some(time::timestamp(time::now())), ..wanted.clone() };
                Ok((vec![operation(Change::StoreKek(kek.clone()))], kek))
            })
            .await
    }

    pub(super) async fn update_kek(self: &Arc<Self>, context: &Context, request: UpdateKekRequest) -> Result<Kek, Error> {
        let UpdateKekRequest { name, kms_props, doc, shared } = request;
        self.journal
            .change(context, |state| {
                let mut kek = find_kek(state, &name, false)?.clone();
                if !kms_props.is_empty() {
                    kek.kms_props.clone_from(&kms_props);
                }
                if let Some(doc) = &doc {
                    kek.doc.clone_from(doc);
                }
                kek.shared = shared.unwrap_or(kek.shared);
                kek.update_time = Some(time::timestamp(time::now()));
                Ok((vec![operation(Change::StoreKek(kek.clone()))], kek))
            })
            .await
    }

    pub(super) async fn delete_kek(self: &Arc<Self>, context: &Context, request: DeleteKekRequest) -> Result<(), Error> {
        let DeleteKekRequest { name, permanent } = request;
        self.journal
            .change(context, |state| {
                let kek = find_kek(state, &name, true)?;
                if !permanent && kek.deleted {
                    return Err(soft_deleted(&name));
                }
                let mut deks = state.deks.iter().filter(|((kek, _, _), _)| *kek == name).flat_map(|(_, versions)| versions.values());
                if deks.any(|dek| permanent || !dek.deleted) {
                    let message = format!("the key '{name}' has data keys; delete them first");
                    return Err(Error::new(Code::FailedPrecondition, "KEY_REFERENCE_EXISTS", message).with("name", name.clone()));
                }
                if permanent && !kek.deleted {
                    return Err(not_soft_deleted(&name));
                }
                let change = if permanent {
                    Change::RemoveKek(RemoveKek { name: name.clone() })
                } else {
                    Change::StoreKek(Kek { deleted: true, ..kek.clone() })
                };
                Ok((vec![operation(change)], ()))
            })
            .await
    }

    pub(super) async fn undelete_kek(self: &Arc<Self>, context: &Context, request: UndeleteKekRequest) -> Result<(), Error> {
        self.journal
            .change(context, |state| {
                let kek = find_kek(state, &request.name, true)?;
                let change = operation(Change::StoreKek(Kek { deleted: false, ..kek.clone() }));
                Ok((if kek.deleted { vec![change] } else { Vec::new() }, ()))
            })
            .await
    }

    pub(super) async fn dek_subjects(&self, context: &Context, request: ListDekSubjectsRequest) -> Result<Vec<String>, Error> {
        let ListDekSubjectsRequest { kek_name, deleted, offset, limit } = request;
        self.journal
            .read_fresh(context, |state| {
                find_kek(state, &kek_name, deleted)?;
                let of = state
                    .deks
                    .iter()
                    .filter(|((kek, _, _), versions)| *kek == kek_name && versions.values().any(|dek| deleted || !dek.deleted));
                let mut subjects: Vec<_> = of.map(|((_, subject, _), _)| subject.clone()).collect();
                subjects.dedup();
                Ok(page(subjects.into_iter(), offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn dek_versions(&self, context: &Context, request: ListDekVersionsRequest) -> Result<Vec<u32>, Error> {
        let ListDekVersionsRequest { kek_name, subject, algorithm, deleted, offset, limit } = request;
        let key = (kek_name, subject, check_algorithm(algorithm)?);
        self.journal
            .read_fresh(context, |state| {
                let versions: Vec<_> = find_deks(state, &key).filter(|dek| deleted || !dek.deleted).map(|dek| dek.version).collect();
                if versions.is_empty() {
                    return Err(not_found(&key.1));
                }
                Ok(page(versions.into_iter(), offset, limit).collect())
            })
            .await?
    }

    pub(super) async fn get_dek(&self, context: &Context, request: GetDekRequest) -> Result<Dek, Error> {
        let GetDekRequest { kek_name, subject, version, algorithm, deleted } = request;
        let key = (kek_name, subject, check_algorithm(algorithm)?);
        let number = if version.is_empty() { VersionNumber::Exact(1) } else { find::parse_version(&version)? };
        self.journal
            .read_fresh(context, |state| {
                let mut found = find_deks(state, &key).filter(|dek| deleted || !dek.deleted);
                let found = match number {
                    VersionNumber::Latest => found.last(),
                    VersionNumber::Exact(number) => found.find(|dek| dek.version == number),
                };
                found.cloned().ok_or_else(|| not_found(&key.1))
            })
            .await?
    }

    pub(super) async fn create_dek(self: &Arc<Self>, context: &Context, request: CreateDekRequest) -> Result<Dek, Error> {
        let CreateDekRequest { kek_name, dek } = request;
        let mut wanted = dek.ok_or_else(|| Error::invalid("dek", "is missing"))?;
        check_text("dek.subject", &wanted.subject)?;
        if wanted.encrypted_key_material.is_empty() {
            let why = "is missing: this registry never has a plaintext key, so the client must encrypt the key and send the result";
            return Err(Error::invalid("dek.encrypted_key_material", why)
                .with_reason("KEY_MATERIAL_MISSING")
                .with("subject", wanted.subject));
        }
        check_text("dek.encrypted_key_material", &wanted.encrypted_key_material)?;
        (wanted.kek_name, wanted.deleted) = (kek_name, false);
        wanted.algorithm = check_algorithm(wanted.algorithm)?;
        wanted.version = wanted.version.max(1);
        if i32::try_from(wanted.version).is_err() {
            // Requests that read the version could not name it.
            return Err(refusal::invalid_version(&wanted.version.to_string()));
        }
        let key = (wanted.kek_name.clone(), wanted.subject.clone(), wanted.algorithm.clone());
        self.journal
            .change(context, |state| {
                find_kek(state, &wanted.kek_name, false)?;
                match state.deks.get(&key).and_then(|versions| versions.get(&wanted.version)) {
                    Some(known) if known.deleted => return Err(soft_deleted(&wanted.subject)),
                    Some(known) if known.encrypted_key_material == wanted.encrypted_key_material => return Ok((Vec::new(), known.clone())),
                    Some(_) => return Err(exists(&wanted.subject)),
                    None => {}
                }
                let dek = Dek { update_time: Some(time::timestamp(time::now())), ..wanted.clone() };
                Ok((vec![operation(Change::StoreDek(dek.clone()))], dek))
            })
            .await
    }

    pub(super) async fn delete_dek(self: &Arc<Self>, context: &Context, request: DeleteDekRequest) -> Result<(), Error> {
        let DeleteDekRequest { kek_name, subject, version, algorithm, permanent } = request;
        let key = (kek_name, subject, check_algorithm(algorithm)?);
        self.journal
            .change(context, |state| {
                let mut chosen = choose_versions(state, &key, &version)?;
                if !permanent {
                    chosen.retain(|dek| !dek.deleted);
                    if chosen.is_empty() {
                        return Err(soft_deleted(&key.1));
                    }
                }
                if permanent && chosen.iter().any(|dek| !dek.deleted) {
                    return Err(not_soft_deleted(&key.1));
                }
                let change = |dek: &Dek| {
                    if permanent {
                        let (kek_name, subject, algorithm) = key.clone();
                        return operation(Change::RemoveDek(RemoveDek { kek_name, subject, algorithm, version: dek.version }));
                    }
                    operation(Change::StoreDek(Dek { deleted: true, ..dek.clone() }))
                };
                Ok((chosen.into_iter().map(change).collect(), ()))
            })
            .await
    }

    pub(super) async fn undelete_dek(self: &Arc<Self>, context: &Context, request: UndeleteDekRequest) -> Result<(), Error> {
        let UndeleteDekRequest { kek_name, subject, version, algorithm } = request;
        let key = (kek_name, subject, check_algorithm(algorithm)?);
        self.journal
            .change(context, |state| {
                find_kek(state, &key.0, false)?;
                let chosen = choose_versions(state, &key, &version)?;
                let deleted = chosen.into_iter().filter(|dek| dek.deleted);
                Ok((deleted.map(|dek| operation(Change::StoreDek(Dek { deleted: false, ..dek.clone() }))).collect(), ()))
            })
            .await
    }
}

fn find_kek<'a>(state: &'a State, name: &str, deleted: bool) -> Result<&'a Kek, Error> {
    state.keks.get(name).filter(|kek| deleted || !kek.deleted).ok_or_else(|| not_found(name))
}

fn find_deks<'a>(state: &'a State, key: &DekKey) -> impl Iterator<Item = &'a Dek> + use<'a> {
    state.deks.get(key).into_iter().flat_map(|versions| versions.values())
}

/// Returns the requested version, or all versions, including deleted ones. Fails if there is none.
fn choose_versions<'a>(state: &'a State, key: &DekKey, version: &str) -> Result<Vec<&'a Dek>, Error> {
    let all = find_deks(state, key);
    let chosen: Vec<_> = match version {
        "" => all.collect(),
        text => match find::parse_version(text)? {
            VersionNumber::Latest => all.last().into_iter().collect(),
            VersionNumber::Exact(number) => all.filter(|dek| dek.version == number).collect(),
        },
    };
    if chosen.is_empty() { Err(not_found(&key.1)) } else { Ok(chosen) }
}

fn check_algorithm(name: String) -> Result<String, Error> {
    if name.is_empty() {
        return Ok(DEFAULT_ALGORITHM.to_owned());
    }
    if ALGORITHMS.contains(&&*name) {
        return Ok(name);
    }
    Err(Error::invalid("algorithm", format!("{name:?} is unknown; the algorithms are {}", ALGORITHMS.join(", ")))
        .with_reason("INVALID_KEY"))
}

fn check_text(field: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        return Err(
            Error::invalid(field, format!("takes 1 to {MAX_TEXT_BYTES} bytes, without control characters")).with_reason("INVALID_KEY")
        );
    }
    Ok(())
}

fn operation(change: Change) -> Operation {
    Operation { change: Some(change) }
}

fn not_found(name: &str) -> Error {
    Error::new(Code::NotFound, "KEY_NOT_FOUND", format!("there is no key '{name}'")).with("name", name)
}

fn exists(name: &str) -> Error {
    Error::new(Code::AlreadyExists, "KEY_ALREADY_EXISTS", format!("the key '{name}' exists already, with other content")).with("name", name)
}

fn soft_deleted(name: &str) -> Error {
    let message = format!("the key '{name}' is softly deleted; undelete it, or delete it permanently first");
    Error::new(Code::NotFound, "KEY_SOFT_DELETED", message).with("name", name)
}

fn not_soft_deleted(name: &str) -> Error {
    let message = format!("the key '{name}' is not softly deleted; delete it softly before deleting it permanently");
    Error::new(Code::NotFound, "KEY_NOT_SOFT_DELETED", message).with("name", name)
}
