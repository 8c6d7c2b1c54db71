//! `offer`

use super::{CliError, args::OfferArgs, context::Context, model};
use llmesh_chain::calls;
use llmesh_primitives::OfferTerms;
use serde_json::json;

pub(super) async fn run(context: &Context, args: OfferArgs) -> Result<(), CliError> {
    context.signer()?;
    let found = context.resolve(&args.model).await?;
    if args.withdraw {
        return context.submit_and_print(&calls::withdraw_offer(found.id)).await;
    }
    let manifest = &found.manifest;
    if let Some(file) = &args.file {
        model::import_file(context, file, Some(manifest.content_id)).await?;
    } else if !args.elsewhere && !context.store()?.contains(manifest.content_id) {
        return Err(CliError::Failed(format!(
            "the file of {} is not in this worker's store: name it with --file, or say --elsewhere if the worker runs \
             on another machine",
            model::label(&found)
        )));
    }
    let price = args.price.unwrap_or(manifest.base_price);
    let call = calls::offer(
        found.id,
        &OfferTerms {
            price,
            capacity: args.capacity,
        },
    );
    let included = context.submit(&call).await?;
    let extra = json!({
        "model": model::label(&found),
        "id": found.id,
        "price": super::output::planck(price),
        "capacity": args.capacity,
    });
    context.print_included(&call, &included, extra);
    Ok(())
}
