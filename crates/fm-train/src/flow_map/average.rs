//! A network that has the averaged weights of another one.

use crate::TrainError;
use crate::state::TrainState;
use tch::nn::VarStore;
use tch::no_grad;

/// Makes the variables of `store` views of the first moving average of a training state, so that
/// they follow its later updates; values that are not trained are copied. The network of `store`
/// must be built from the same configuration as the trained one.
///
/// # Errors
/// [`TrainError::Weights`] for variables that the state does not have, or has in another shape; the
/// network is then unchanged.
pub fn follow_average(store: &VarStore, state: &TrainState) -> Result<(), TrainError> {
    let average = |name: &str| Some(state.params.slots.iter().find(|s| s.name == name)?.view(state.ema.weights()));
    let mut known = Vec::new();
    for (name, variable) in store.variables() {
        let trained = average(&name);
        let own = state.params.buffers.get(&name).map(tch::Tensor::shallow_clone);
        let (source, follows) = (trained.as_ref().or(own.as_ref()), trained.is_some());
        let Some(source) = source.filter(|source| source.size() == variable.size()) else {
            return Err(TrainError::Weights { problems: format!("{name} of the averaged network is not of the run") });
        };
        known.push((variable, source.shallow_clone(), follows));
    }
    no_grad(|| {
        for (mut variable, source, follows) in known {
            if follows {
                let _ = variable.requires_grad_(false);
                variable.set_data(&source);
            } else {
                variable.copy_(&source);
            }
        }
    });
    Ok(())
}
