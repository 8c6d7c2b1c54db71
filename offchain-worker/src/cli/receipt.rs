//! `receipt ...`

use super::{
    CliError,
    args::ReceiptCommand,
    output::{mesh, print, print_json},
};
use crate::tensors;
use llmesh_chain::H256;
use llmesh_engine::parse_content_id;
use llmesh_proofs::SignedReceipt;
use llmesh_protocol::{MeshTensor, MeshTensors};
use serde_json::json;
use std::{io::Read, path::Path};

/// No receipt's file is longer.
const MAX_FILE: u64 = 64 * 1024;

pub(super) fn run(json: bool, command: ReceiptCommand) -> Result<(), CliError> {
    let ReceiptCommand::Verify { file, chain, input } = command;
    let receipt = read_receipt(&file)?;
    let bad = |e: llmesh_proofs::ReceiptError| CliError::Failed(format!("the receipt does not hold: {e}"));
    match chain {
        None => receipt.verify().map_err(bad)?,
        Some(text) => {
            let genesis = parse_content_id(&text)
                .ok_or_else(|| CliError::Usage(format!("--chain {text}: expected 0x and 64 hex digits")))?;
            receipt.verify_on(genesis).map_err(bad)?;
        }
    }
    if !input.is_empty() {
        let mut inputs = Vec::with_capacity(input.len());
        for text in &input {
            let tensor = tensors::parse(text, |path| std::fs::read(path)).map_err(CliError::Usage)?;
            inputs.push(MeshTensor::from(tensor));
        }
        let inputs = MeshTensors::new(inputs).map_err(|e| CliError::Usage(e.to_string()))?;
        if inputs.hash() != receipt.receipt.input_hash {
            return Err(bad(llmesh_proofs::ReceiptError::OtherInput));
        }
    }
    let hex = |hash: H256| format!("{hash:?}");
    if json {
        print_json(&json!({
            "valid": true,
            "receipt": hex(receipt.hash()),
            "request": hex(receipt.request.terms.id()),
            "genesis": hex(receipt.request.terms.genesis),
            "host": receipt.host.to_string(),
            "client": receipt.request.terms.client.to_string(),
            "model": hex(receipt.receipt.model),
            "fee": receipt.receipt.fee.to_string(),
            "input_checked": !input.is_empty(),
        }));
    } else {
        print(format_args!(
            "the receipt holds\nhost    {}\nclient  {}\nmodel   {}\nfee     {}\nrequest {}",
            receipt.host,
            receipt.request.terms.client,
            hex(receipt.receipt.model),
            mesh(receipt.receipt.fee),
            hex(receipt.request.terms.id()),
        ));
    }
    Ok(())
}

/// The receipt in a file; nothing of it is checked.
pub(super) fn read_receipt(file: &Path) -> Result<SignedReceipt, CliError> {
    llmesh_proofs::json::parse(&read(file)?).map_err(|e| CliError::Failed(format!("{}: {e}", file.display())))
}

fn read(file: &Path) -> Result<String, CliError> {
    let name = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_FILE + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|f| f.take(MAX_FILE + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|e| CliError::Failed(format!("{name}: {e}")))?;
    if length as u64 > MAX_FILE {
        return Err(CliError::Failed(format!("{name} is too long for a receipt")));
    }
    Ok(text)
}
